//! Who the service is: what it may give its workers, and how it gives up its own rights.

use crate::config::Config;
use codejail_protocol::control::{LayerMode, LayerState};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, geteuid, setgroups, setresgid, setresuid};

/// Why the service can't run as whom it was started.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// The user of the configuration does not exist.
    #[error("user = {0:?}: no such user; create it, or give a number")]
    NoSuchUser(String),
    /// The user of the configuration is root.
    #[error("user = {0:?}: the HTTP side must not be root")]
    Root(String),
    /// It must be somebody that no worker or sandbox is.
    #[error(
        "user = {0:?}: its uid lies in the range of workers and sandboxes from sandbox.uid_base on"
    )]
    InRange(String),
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

/// What to say of the layer.
#[must_use]
pub fn layer(own_uids: bool) -> LayerState {
    if own_uids {
        LayerState::on("uid", "one for each worker and each sandbox")
    } else {
        let detail = "not started as root; sandboxes share the service's";
        LayerState::off("uid", detail)
    }
}

/// Becomes the configured user, for good: no root, no capability, no group but its own. Started as
/// somebody else than root, the service stays who it is. Must run before there is any thread.
///
/// # Errors
/// There is no such user, or the system refused.
pub fn become_app_user(config: &Config) -> Result<(), PrivilegeError> {
    let Some((uid, gid)) = check_user(config)? else {
        return Ok(());
    };
    let refused = |step| move |errno| PrivilegeError::System(step, errno);
    setgroups(&[]).map_err(refused("setgroups"))?;
    setresgid(gid, gid, gid).map_err(refused("setresgid"))?;
    setresuid(uid, uid, uid).map_err(refused("setresuid"))?;
    nix::sys::prctl::set_no_new_privs().map_err(refused("PR_SET_NO_NEW_PRIVS"))?;
    nix::sys::prctl::set_dumpable(false).map_err(refused("PR_SET_DUMPABLE"))
}

/// Whom the service would become; nobody else where it was not started as root.
///
/// # Errors
/// There is no such user, or it is one that the service must not be.
pub fn check_user(config: &Config) -> Result<Option<(Uid, Gid)>, PrivilegeError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let (uid, gid) = find_user(&config.user)?;
    let first = u64::from(config.sandbox.uid_base);
    if uid.is_root() || gid.as_raw() == 0 {
        return Err(PrivilegeError::Root(config.user.clone()));
    }
    if (first..first + config.uid_count()).contains(&u64::from(uid.as_raw())) {
        return Err(PrivilegeError::InRange(config.user.clone()));
    }
    Ok(Some((uid, gid)))
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
