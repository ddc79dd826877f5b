//! The users of a service: which users it can give to workers, and how it gives up its own rights.

use super::accounts::{self, Account};
use super::user_namespace::{self, NotMapped};
use crate::config::Config;
use crate::config::load::Loaded;
use crate::config::mapped_ids::MappedIds;
use crate::config::note::Note;
use crate::config::settings::Origin;
use codejail_protocol::control::{LayerMode, LayerState};
use nix::errno::Errno;
use nix::unistd::{
    Gid, Uid, User, geteuid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid,
};
use std::ops::Range;

/// Why the service can't run as the user that started it, or become its user.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// The user of the configuration does not exist.
    #[error("user = {0:?}: no such user; create it, or give a number")]
    NoSuchUser(String),
    /// The user of the configuration is root.
    #[error("user = {0:?}: the part that speaks HTTP must not be root")]
    Root(String),
    /// The system uses this number for "no change".
    #[error("user = {0:?}: no user can have this number; give another number, or a name")]
    NoNumber(String),
    /// The user must not have the uid of a worker or sandbox, and must not be in one of their
    /// groups.
    #[error(
        "user = {user:?}: its {what} {id} lies in the range of workers and sandboxes, {}: choose \
         another user, or set sandbox.uid_base{}",
        shown(range),
        suggested(base)
    )]
    InRange {
        /// As configured.
        user: String,
        /// uid or gid.
        what: &'static str,
        /// Its number.
        id: u32,
        /// The range from `sandbox.uid_base` on.
        range: Range<u64>,
        /// The start of a free range of the same size, if there is one.
        base: Option<u32>,
    },
    /// This is a user namespace in which an id does not exist.
    #[error(transparent)]
    NotMapped(#[from] NotMapped),
    /// The system said that the process gave up its rights, but it still has them.
    #[error("the service is still {0} after it changed to its user, so it refuses to serve")]
    NotDropped(String),
    /// A required layer is missing.
    #[error(
        "layers.uid is required, but the service was not started as root: start it as root, or set \
         layers.uid = \"auto\""
    )]
    NotRoot,
    /// A layer that can't be left out.
    #[error(
        "layers.uid = \"off\" would run sandboxes as root: start the service as another user, or set \
         layers.uid = \"auto\""
    )]
    SandboxesAsRoot,
    /// The system refused.
    #[error("{0}: {1}")]
    System(&'static str, Errno),
}

/// Whether workers and sandboxes get uids of their own.
///
/// # Errors
/// The layer is required and missing, or off where it can't be.
pub fn own_uids(mode: LayerMode) -> Result<bool, PrivilegeError> {
    match (geteuid().is_root(), mode) {
        (true, LayerMode::Off) => Err(PrivilegeError::SandboxesAsRoot),
        (true, _) => Ok(true),
        (false, LayerMode::Require) => Err(PrivilegeError::NotRoot),
        (false, _) => Ok(false),
    }
}

/// The state of the layer, for the operator.
#[must_use]
pub fn layer(own_uids: bool) -> LayerState {
    if own_uids {
        LayerState::on("uid", "one for each worker and each sandbox")
    } else {
        let detail =
            "not started as root (in a container: --user 0); sandboxes have the uid of the service";
        LayerState::off("uid", detail)
    }
}

/// Becomes the configured user, for good: not root, no capability, and in no group but that user's
/// own. A service that was not started as root keeps its user. It must run while the process has
/// one thread.
///
/// # Errors
/// There is no such user, or the system refused.
pub fn become_app_user(config: &Config) -> Result<(), PrivilegeError> {
    let Some((uid, gid)) = check_user(config)? else {
        return Ok(());
    };
    let refused = |step| move |errno| PrivilegeError::System(step, errno);
    setgroups(&[]).map_err(refused("setgroups, which takes CAP_SETGID"))?;
    setresgid(gid, gid, gid).map_err(refused("setresgid, which takes CAP_SETGID"))?;
    setresuid(uid, uid, uid).map_err(refused("setresuid, which takes CAP_SETUID"))?;
    assert_dropped(uid, gid)?;
    nix::sys::prctl::set_no_new_privs().map_err(refused("PR_SET_NO_NEW_PRIVS"))?;
    nix::sys::prctl::set_dumpable(false).map_err(refused("PR_SET_DUMPABLE"))
}

/// Makes sure that the process is this user in every respect, and can't become another one.
fn assert_dropped(uid: Uid, gid: Gid) -> Result<(), PrivilegeError> {
    let refused = |step| move |errno| PrivilegeError::System(step, errno);
    let users = getresuid().map_err(refused("getresuid"))?;
    let groups = getresgid().map_err(refused("getresgid"))?;
    let more = getgroups().map_err(refused("getgroups"))?;
    if [users.real, users.effective, users.saved] != [uid; 3]
        || [groups.real, groups.effective, groups.saved] != [gid; 3]
        || !more.is_empty()
    {
        return Err(PrivilegeError::NotDropped(format!(
            "{users:?} {groups:?} {more:?}"
        )));
    }
    let (root, root_group) = (Uid::from_raw(0), Gid::from_raw(0));
    if setresuid(root, root, root).is_ok() || setresgid(root_group, root_group, root_group).is_ok()
    {
        return Err(PrivilegeError::NotDropped("able to become root".to_owned()));
    }
    Ok(())
}

/// The user that the service would become; none if it was not started as root.
///
/// # Errors
/// There is no such user, or the service must not be that user.
pub fn check_user(config: &Config) -> Result<Option<(Uid, Gid)>, PrivilegeError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let (uid, gid) = find_user(&config.user)?;
    check_ids(config, uid, gid, &accounts::all())?;
    user_namespace::check(config, uid, gid, &MappedIds::of_process())?;
    Ok(Some((uid, gid)))
}

fn check_ids(
    config: &Config,
    uid: Uid,
    gid: Gid,
    accounts: &[Account],
) -> Result<(), PrivilegeError> {
    let user = config.user.clone();
    if uid.is_root() || gid.as_raw() == 0 {
        return Err(PrivilegeError::Root(user));
    }
    if uid.as_raw() == u32::MAX || gid.as_raw() == u32::MAX {
        return Err(PrivilegeError::NoNumber(user));
    }
    let range = config.uid_range();
    for (what, id) in [("uid", uid.as_raw()), ("gid", gid.as_raw())] {
        if range.contains(&u64::from(id)) {
            let own = [uid.as_raw(), gid.as_raw()];
            let base = accounts::free_base(config, accounts, &own);
            return Err(PrivilegeError::InRange {
                user,
                what,
                id,
                range,
                base,
            });
        }
    }
    Ok(())
}

/// Warnings about the users of this host, for the operator. They stop no service.
#[must_use]
pub fn notes(loaded: &Loaded) -> Vec<Note> {
    let config = &loaded.config;
    if !geteuid().is_root() {
        let origin = loaded.settings.origin(&["user".to_owned()]);
        return match origin {
            Origin::Default => Vec::new(),
            origin => vec![Note::Ignored(format!(
                "user = {:?} ({origin}) has no effect: the service was not started as root, and \
                 keeps its user",
                config.user
            ))],
        };
    }
    let all = accounts::all();
    let range = config.uid_range_with_tools();
    let inside = all.iter().filter(|account| account.is_in(&range));
    let inside: Vec<&str> = inside.map(|account| account.name.as_str()).collect();
    if inside.is_empty() {
        return Vec::new();
    }
    vec![Note::Warning(format!(
        "accounts of this host have uids or gids in the range of workers and sandboxes, {}: {}; set \
         sandbox.uid_base{}",
        shown(&range),
        inside.join(", "),
        suggested(&accounts::free_base(config, &all, &[]))
    ))]
}

fn shown(range: &Range<u64>) -> String {
    format!("{} to {}", range.start, range.end - 1)
}

fn suggested(base: &Option<u32>) -> String {
    base.map_or_else(String::new, |base| format!(", to {base} for example"))
}

fn find_user(name: &str) -> Result<(Uid, Gid), PrivilegeError> {
    if let Ok(number) = name.parse() {
        return Ok((Uid::from_raw(number), Gid::from_raw(number)));
    }
    match User::from_name(name) {
        Ok(Some(user)) => Ok((user.uid, user.gid)),
        Ok(None) => Err(PrivilegeError::NoSuchUser(name.to_owned())),
        Err(errno) => Err(PrivilegeError::System("getpwnam", errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(uid: u32, gid: u32) -> Result<(), String> {
        let config = Config::default();
        let accounts = [Account {
            name: "somebody".to_owned(),
            uid: 349_600_001,
            gid: 100,
        }];
        check_ids(&config, Uid::from_raw(uid), Gid::from_raw(gid), &accounts)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_user_is_nobody_whom_a_sandbox_could_be() {
        assert_eq!(checked(1000, 1000), Ok(()));
        assert_eq!(checked(349_589_999, 349_589_999), Ok(()));
        let first = Config::default().sandbox.uid_base;
        let last = first + 107;
        assert_eq!(checked(last + 1, 1000), Ok(()));
        for (uid, gid, part) in [
            (0, 1000, "must not be root"),
            (1000, 0, "must not be root"),
            (u32::MAX, u32::MAX, "no user can have this number"),
            (1000, u32::MAX, "no user can have this number"),
            (
                first,
                1000,
                "its uid 349590000 lies in the range of workers and sandboxes, 349590000 to",
            ),
            (1000, last, "its gid 349590107 lies in the range"),
            // The next round number is too close to an account.
            (
                last,
                last,
                "or set sandbox.uid_base, to 349610000 for example",
            ),
        ] {
            let error = checked(uid, gid).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
