//! In a user namespace only the ids in its maps exist. The kernel refuses any other id, but late,
//! and with an error (EINVAL) that does not say why. So ids are checked here.

use crate::config::Config;
use crate::config::mapped_ids::MappedIds;
use nix::unistd::{Gid, Uid};

/// The configuration needs an id that does not exist in this user namespace.
#[derive(Debug, thiserror::Error)]
#[error(
    "{what}: this user namespace has only the ids {mapped} (/proc/self/uid_map and gid_map): \
     {remedy}"
)]
pub struct NotMapped {
    /// The key and its value.
    what: String,
    /// The ids that exist.
    mapped: MappedIds,
    /// What would be right.
    remedy: String,
}

/// Checks that the ids of workers, of sandboxes and of the HTTP side's user exist.
///
/// # Errors
/// One of them does not. The error names the key to change.
pub fn check(config: &Config, uid: Uid, gid: Gid, mapped: &MappedIds) -> Result<(), NotMapped> {
    let not_mapped = |what, remedy| {
        let mapped = mapped.clone();
        Err(NotMapped {
            what,
            mapped,
            remedy,
        })
    };
    let range = config.uid_range_with_tools();
    if !mapped.hold(&range) {
        let (first, last) = (range.start, range.end - 1);
        let what = format!("sandbox.uid_base = {first}, with uids {first} to {last}");
        let remedy = match mapped.base_for(config) {
            Some(base) => format!("set sandbox.uid_base to {base}, or leave it out"),
            None => format!("map {} ids more, in one stretch", range.end - range.start),
        };
        return not_mapped(what, remedy);
    }
    for id in [uid.as_raw(), gid.as_raw()].map(u64::from) {
        if !mapped.hold(&(id..id + 1)) {
            let what = format!("user = {:?}, whose uid or gid is {id}", config.user);
            return not_mapped(what, "choose another user".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(uid_base: u32, user: u32, mapped: &MappedIds) -> Result<(), String> {
        let mut config = Config::default();
        config.sandbox.uid_base = uid_base;
        let checked = check(&config, Uid::from_raw(user), Gid::from_raw(user), mapped);
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn in_a_user_namespace_everybody_is_somebody_that_it_has() {
        let pod = MappedIds::of_maps("0 100000 65536", "0 100000 65536");
        let alone = MappedIds::of_maps("0 1000 1", "0 1000 1");
        assert_eq!(checked(40_000, 10_001, &pod), Ok(()));
        assert_eq!(checked(349_590_000, 1000, &MappedIds::default()), Ok(()));
        for (uid_base, user, mapped, part) in [
            (349_590_000, 10_001, &pod, "only the ids 0 to 65535"),
            (349_590_000, 10_001, &pod, "set sandbox.uid_base to 40000"),
            // This range contains nobody's uid, 65534.
            (65_400, 10_001, &pod, "with uids 65400 to 65561"),
            (40_000, 100_000, &pod, "choose another user"),
            (40_000, 0, &alone, "map 162 ids more, in one stretch"),
        ] {
            let error = checked(uid_base, user, mapped).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
