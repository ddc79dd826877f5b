//! Which mappings move into the image's file, and which are joined with their neighbour.

use crate::mappings::{self, Mapping};
use std::ops::Range;

/// What is done with one mapping.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It moves into the file.
    Move(Piece),
    /// Read-only data beside the code of the same file becomes executable too, so that the kernel
    /// makes one mapping of both.
    MakeText(Range<usize>),
}

/// Memory that moves.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its addresses.
    pub range: Range<usize>,
    /// Whether the process may write to it afterwards. A library's relocated constants become
    /// writable where they so become one mapping with the library's data.
    pub writable: bool,
    /// Whether a file holds the parts that the process has not written.
    pub of_file: bool,
}

/// The flags that a mapping may have. Any other flag asks for something that a new mapping would
/// not have: `wf` (emptied in a child), `dc` (absent in a child), `lo` (locked) and so on.
const FLAGS: [&str; 9] = ["rd", "wr", "mr", "mw", "me", "ac", "sd", "hg", "nh"];

/// Most bytes of a file's mapping that are copied. The data of a library are a few hundred kB; a
/// file that a library maps to read from may be far larger.
const OF_FILE_MAX: usize = 16 << 20;

/// Fills `steps`. Returns whether there was room for all. It allocates no memory.
pub fn make(smaps: &str, steps: &mut Vec<Step>, room: usize) -> bool {
    let mut before: Option<Mapping<'_>> = None;
    let mut all = mappings::parse(smaps).peekable();
    while let Some(mapping) = all.next() {
        let after = all.peek();
        if let Some(step) = step(before.as_ref(), &mapping, after) {
            if steps.len() == room {
                return false;
            }
            steps.push(step);
        }
        before = Some(mapping);
    }
    true
}

fn step(
    before: Option<&Mapping<'_>>,
    mapping: &Mapping<'_>,
    after: Option<&Mapping<'_>>,
) -> Option<Step> {
    if moves(mapping) {
        return Some(Step::Move(Piece {
            range: mapping.range(),
            writable: mapping.is_private_writable()
                || after.is_some_and(|data| are_constants_of(mapping, data)),
            of_file: mapping.inode != 0,
        }));
    }
    let beside_code = before.is_some_and(|code| is_code_of(code, mapping) && adjoin(code, mapping))
        || after.is_some_and(|code| is_code_of(code, mapping) && adjoin(mapping, code));
    (mapping.permissions == "r--p" && mapping.anonymous_bytes == 0 && beside_code)
        .then(|| Step::MakeText(mapping.range()))
}

/// Whether it is memory that this process has written, or will write.
fn moves(mapping: &Mapping<'_>) -> bool {
    let own = match mapping.permissions {
        "rw-p" => mapping.inode != 0 || mapping.resident_bytes != 0,
        "r--p" => mapping.anonymous_bytes != 0,
        _ => false,
    };
    let plain = |flags: &str| {
        let mut words = flags.split_ascii_whitespace();
        !flags.is_empty() && words.all(|flag| FLAGS.contains(&flag))
    };
    let small = mapping.inode == 0 || mapping.range().len() <= OF_FILE_MAX;
    own && small && !mapping.is_the_kernels() && plain(mapping.flags)
}

fn is_code_of(code: &Mapping<'_>, data: &Mapping<'_>) -> bool {
    code.permissions == "r-xp"
        && code.inode != 0
        && (code.device, code.inode) == (data.device, data.inode)
}

/// Whether these are constants that the dynamic linker has relocated and closed (relro): they lie
/// before the data of the same file.
fn are_constants_of(constants: &Mapping<'_>, data: &Mapping<'_>) -> bool {
    let same_file = (constants.device, constants.inode) == (data.device, data.inode);
    data.is_private_writable() && constants.inode != 0 && same_file && constants.end == data.start
}

/// Whether the two are neighbours, in memory and in the file.
fn adjoin(first: &Mapping<'_>, second: &Mapping<'_>) -> bool {
    first.end == second.start && first.offset + first.range().len() == second.offset
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library as the linker lays it out, then memory of other kinds.
    const SMAPS: &str = "\
7f1000000000-7f1000001000 r--p 00000000 fe:00 7                          /usr/lib/x.so
VmFlags: rd mr mw me sd
7f1000001000-7f1000005000 r-xp 00001000 fe:00 7                          /usr/lib/x.so
VmFlags: rd ex mr mw me sd
7f1000005000-7f1000007000 r--p 00005000 fe:00 7                          /usr/lib/x.so
VmFlags: rd mr mw me sd
7f1000007000-7f1000008000 r--p 00006000 fe:00 7                          /usr/lib/x.so
Anonymous:             4 kB
VmFlags: rd mr mw me ac sd
7f1000008000-7f1000009000 rw-p 00007000 fe:00 7                          /usr/lib/x.so
VmFlags: rd wr mr mw me ac sd
7f1000009000-7f1000010000 rw-p 00000000 00:00 0
Rss:                   4 kB
VmFlags: rd wr mr mw me ac sd
7f1100000000-7f1100001000 rw-p 00000000 00:00 0
Rss:                   4 kB
VmFlags: rd wr mr mw me ac wf sd
7f1200000000-7f1200001000 rw-p 00000000 00:00 0
Rss:                   0 kB
VmFlags: rd wr mr mw me ac sd
7f1300000000-7f1300001000 rw-s 00000000 00:00 9                          /dev/zero
Rss:                   4 kB
VmFlags: rd wr sh mr mw me ms sd
7f1400000000-7f1400001000 rwxp 00000000 00:00 0
Rss:                   4 kB
VmFlags: rd wr ex mr mw me ac sd
7f1500000000-7f1500001000 r--p 00000000 fe:00 8                          /usr/lib/locale/C
VmFlags: rd mr mw me sd
7f1600000000-7f1608000000 rw-p 00000000 fe:00 9                          /large
VmFlags: rd wr mr mw me ac sd
7ffc00000000-7ffc00400000 rw-p 00000000 00:00 0                          [stack]
Rss:                   4 kB
VmFlags: rd wr mr mw me gd ac
";

    fn piece(range: Range<usize>, writable: bool, of_file: bool) -> Step {
        Step::Move(Piece {
            range,
            writable,
            of_file,
        })
    }

    #[test]
    fn own_memory_moves_and_what_is_special_stays() {
        let mut steps = Vec::new();
        assert!(make(SMAPS, &mut steps, 10));
        assert_eq!(
            steps,
            [
                Step::MakeText(0x7f10_0000_0000..0x7f10_0000_1000),
                Step::MakeText(0x7f10_0000_5000..0x7f10_0000_7000),
                piece(0x7f10_0000_7000..0x7f10_0000_8000, true, true),
                piece(0x7f10_0000_8000..0x7f10_0000_9000, true, true),
                piece(0x7f10_0000_9000..0x7f10_0001_0000, true, false),
            ]
        );
    }

    #[test]
    fn a_plan_without_room_is_none() {
        assert!(!make(SMAPS, &mut Vec::new(), 4));
    }
}
