//! Short functions with which `policy.rs` writes conditions, rules and filters. They make what
//! seccompiler and the kernel need.

use super::syscalls::Group;
use super::{LAYER, LayerError};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter, sock_filter,
};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The rules of each system call. A filter matches a call if one of its rules matches, or if it has
/// no rules.
pub type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The calls of these groups, whatever their arguments.
pub fn any_argument(lists: &[&[Group]]) -> Rules {
    let groups = lists.iter().flat_map(|list| list.iter());
    groups
        .flat_map(|(_reason, calls)| calls.iter().map(|call| (*call, vec![])))
        .collect()
}

/// These calls, whatever their arguments.
pub fn any_argument_of(calls: &[i64]) -> Rules {
    calls.iter().map(|call| (*call, vec![])).collect()
}

/// Signed constants of C as unsigned numbers, as the kernel compares them.
pub fn signed(values: &[i32]) -> impl Iterator<Item = u64> {
    values.iter().map(|value| u64::from(value.cast_unsigned()))
}

/// Matches these values only.
pub fn one_of(
    argument: u8,
    values: impl IntoIterator<Item = u64>,
) -> Result<Vec<SeccompRule>, LayerError> {
    values
        .into_iter()
        .map(|value| all(vec![when(argument, Is::Eq, value)?]))
        .collect()
}

/// Matches every value whose bits under the mask are one of these.
pub fn masked(
    argument: u8,
    mask: u64,
    values: impl IntoIterator<Item = u32>,
) -> Result<Vec<SeccompRule>, LayerError> {
    values
        .into_iter()
        .map(|value| all(vec![when(argument, Is::MaskedEq(mask), value.into())?]))
        .collect()
}

/// Matches every value except these.
pub fn none_of(
    argument: u8,
    values: impl IntoIterator<Item = u64>,
) -> Result<Vec<SeccompRule>, LayerError> {
    let conditions = values
        .into_iter()
        .map(|value| when(argument, Is::Ne, value));
    Ok(vec![all(conditions.collect::<Result<_, _>>()?)?])
}

/// Every value that `mask` can leave of a number.
pub fn submasks(mask: u64) -> impl Iterator<Item = u64> {
    let below = move |bits: &u64| bits.checked_sub(1).map(|less| less & mask);
    std::iter::successors(Some(mask), below)
}

/// A condition on the lower 32 bits of an argument. Of an `int` the kernel reads only these.
pub fn when(argument: u8, is: Is, value: u64) -> Result<SeccompCondition, LayerError> {
    SeccompCondition::new(argument, Len::Dword, is, value).map_err(compile_error())
}

/// A condition on all 64 bits of an argument.
pub fn when_whole(argument: u8, is: Is, value: u64) -> Result<SeccompCondition, LayerError> {
    SeccompCondition::new(argument, Len::Qword, is, value).map_err(compile_error())
}

/// A rule that matches if all conditions match.
pub fn all(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, LayerError> {
    SeccompRule::new(conditions).map_err(compile_error())
}

/// A filter that allows what `rules` match, and answers EACCES to all other calls.
pub fn allow(rules: Rules) -> Result<BpfProgram, LayerError> {
    let denied = SeccompAction::Errno(libc::EACCES.cast_unsigned());
    compile(rules, denied, SeccompAction::Allow)
}

/// A filter that answers `errno` to what `rules` match, and allows all other calls.
pub fn deny(rules: Rules, errno: i32) -> Result<BpfProgram, LayerError> {
    let denied = SeccompAction::Errno(errno.cast_unsigned());
    compile(rules, SeccompAction::Allow, denied)
}

/// The same filter, which also answers `errno` to every call number in this range. As a list, the
/// numbers would be compared one by one at each call.
pub fn deny_range_too(
    mut program: BpfProgram,
    numbers: RangeInclusive<u32>,
    errno: i32,
) -> Result<BpfProgram, LayerError> {
    /// seccompiler's programs compare the architecture first; their fourth instruction loads the
    /// number. All jumps lead forward from there.
    const NUMBER_LOADED: usize = 4;
    const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let loads = program.get(NUMBER_LOADED - 1);
    if loads.is_none_or(|load| load.code != LOAD_NUMBER || load.k != 0) {
        return Err(LayerError::refused(LAYER, "a filter of this form"));
    }
    let jump = |compare: u32, k: u32, jt: u8, jf: u8| sock_filter {
        code: (libc::BPF_JMP | compare | libc::BPF_K) as u16,
        jt,
        jf,
        k,
    };
    let answer = sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_ERRNO | errno.cast_unsigned(),
    };
    let in_range = [
        jump(libc::BPF_JGE, *numbers.start(), 0, 2),
        jump(libc::BPF_JGT, *numbers.end(), 1, 0),
        answer,
    ];
    program.splice(NUMBER_LOADED..NUMBER_LOADED, in_range);
    Ok(program)
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, LayerError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(compile_error())?;
    SeccompFilter::new(rules, otherwise, matched, arch)
        .and_then(BpfProgram::try_from)
        .map_err(compile_error())
}

/// Installs a filter in this process. It can't be removed.
pub fn apply(program: &BpfProgram) -> Result<(), LayerError> {
    apply_filter(program).map_err(LayerError::at(LAYER, "install a filter"))
}

fn compile_error<E: std::fmt::Display>() -> impl FnOnce(E) -> LayerError {
    LayerError::at(LAYER, "compile a filter")
}

#[cfg(test)]
mod tests {
    use super::submasks;

    #[test]
    fn submasks_are_all_values_under_a_mask() {
        let mut found: Vec<u64> = submasks(0b1010).collect();
        found.sort_unstable();
        assert_eq!(found, [0, 0b10, 0b1000, 0b1010]);
    }
}
