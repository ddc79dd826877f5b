//! The accounts in `/etc/passwd`. No account should have the uid of a sandbox.

use crate::config::Config;
use crate::config::mapped_ids::{BASES, MappedIds};
use std::ops::Range;

/// One line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: u32,
    /// Its first group.
    pub gid: u32,
}

impl Account {
    /// Whether its uid or its group is in this range.
    #[must_use]
    pub fn is_in(&self, range: &Range<u64>) -> bool {
        [self.uid, self.gid]
            .iter()
            .any(|id| range.contains(&u64::from(*id)))
    }
}

/// The distance between the first uids that are suggested. More than 256 workers with a sandbox
/// each fit into it.
const STEP: u32 = 10_000;
/// Most suggestions that are tried.
const STEPS_MAX: u32 = 100;

/// All accounts; none if there is no such file. Accounts in a directory service are not looked up:
/// that could take minutes for a large range.
#[must_use]
pub fn all() -> Vec<Account> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines().filter_map(account).collect()
}

fn account(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { name, uid, gid })
}

/// A `sandbox.uid_base` whose range contains no account and overlaps none of `others`.
#[must_use]
pub fn free_base(config: &Config, accounts: &[Account], others: &[u32]) -> Option<u32> {
    let count = {
        let range = config.uid_range_with_tools();
        range.end - range.start
    };
    let first = Config::default().sandbox.uid_base;
    let mapped = MappedIds::of_process();
    let bases = (0..STEPS_MAX).map(|step| first + step * STEP);
    bases.chain(BASES).find(|base| {
        let range = u64::from(*base)..u64::from(*base) + count;
        mapped.hold(&range)
            && !accounts.iter().any(|account| account.is_in(&range))
            && !others.iter().any(|id| range.contains(&u64::from(*id)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_their_lines() {
        let app = account("app:x:349590100:27:The app:/nonexistent:/bin/false").unwrap();
        assert_eq!((&*app.name, app.uid, app.gid), ("app", 349_590_100, 27));
        assert_eq!(account("+@netgroup"), None);
        assert_eq!(account(""), None);
    }
}
