//! Which capabilities root needs for the service, and which of them are missing here.
//!
//! A hardened container's root has few. What is missing is named at the start and in each error
//! that may come of it; nothing is refused for it, since the kernel decides.

use crate::sys::process::effective_capabilities;
use nix::errno::Errno;
use nix::unistd::geteuid;
use std::fmt::Display;

/// Number (linux/capability.h), name, and what it is for. CAP_SYS_ADMIN is not among them: without
/// it two layers are off, and say so.
const NEEDED: [(u32, &str, &str); 7] = [
    (0, "CAP_CHOWN", "to give workers their directories"),
    (1, "CAP_DAC_OVERRIDE", "to remove what runs leave"),
    (3, "CAP_FOWNER", "to remove what runs leave"),
    (5, "CAP_KILL", "to end workers and sandboxes"),
    (6, "CAP_SETGID", "to give workers their groups"),
    (7, "CAP_SETUID", "to give workers their users"),
    (
        8,
        "CAP_SETPCAP",
        "to take all other capabilities away from workers",
    ),
];

/// What the operator should know.
pub fn warnings() -> Vec<String> {
    let missing = missing().into_iter().map(|(name, purpose)| {
        format!("root needs {name} {purpose}, and this service is started without it")
    });
    missing.collect()
}

/// An error in words; with the capabilities that are missing, where the kernel has refused a right.
pub fn told(error: &impl Display, errno: Option<Errno>) -> String {
    let refused = matches!(errno, Some(Errno::EPERM | Errno::EACCES));
    let names: Vec<&str> = missing().into_iter().map(|(name, _)| name).collect();
    if !refused || names.is_empty() {
        return error.to_string();
    }
    let names = names.join(", ");
    format!("{error} (this service is started without {names}, which root needs)")
}

/// The needed capabilities that this process, as root, does not have. A process that is not root
/// needs none of them.
fn missing() -> Vec<(&'static str, &'static str)> {
    if !geteuid().is_root() {
        return Vec::new();
    }
    // If the kernel does not say which capabilities there are, none is reported as missing.
    let has = effective_capabilities().unwrap_or(u64::MAX);
    let missing = NEEDED
        .iter()
        .filter(|(number, ..)| has & (1 << number) == 0);
    missing
        .map(|(_, name, purpose)| (*name, *purpose))
        .collect()
}
