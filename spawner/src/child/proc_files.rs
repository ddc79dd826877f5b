//! Small files of `/proc` that change how the kernel treats a new process.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::write;
use std::ffi::CStr;

/// Gives a worker, and so its sandboxes, the highest score (proc(5)). When memory runs out, the
/// kernel ends a process with this score before any other process of the host. Of several such
/// processes it takes the largest: a sandbox that takes memory is soon larger than its worker. A
/// host without `/proc` has no score to set.
///
/// # Errors
/// The file is there and can't be written.
pub fn go_first_when_memory_is_short() -> Result<(), Errno> {
    match write_file(c"/proc/self/oom_score_adj", b"1000") {
        Err(Errno::ENOENT) => Ok(()),
        result => result,
    }
}

/// Forbids all System V objects in this process's IPC namespace, which must be a new one. Nobody
/// can make a shared memory segment, message queue or semaphore set there, so none outlives its
/// run. The limits are the namespace's own (proc(5)).
///
/// # Errors
/// `/proc/sys` can't be written.
pub fn close_ipc() -> Result<(), Errno> {
    write_file(c"/proc/sys/kernel/shmmni", b"0")?;
    write_file(c"/proc/sys/kernel/msgmni", b"0")?;
    // The last of the four numbers is the number of sets.
    write_file(c"/proc/sys/kernel/sem", b"0 0 0 0")
}

/// Has the exec enter a profile: `order` is `exec NAME` or `stack NAME`. A profile that does not
/// exist fails here, or at the exec.
///
/// Since Linux 5.8 AppArmor has a file of its own. Older kernels have only the file of the first
/// security module.
///
/// # Errors
/// AppArmor refuses, or is not there.
pub fn enter_profile_at_exec(order: &CStr) -> Result<(), Errno> {
    match write_file(c"/proc/self/attr/apparmor/exec", order.to_bytes()) {
        Err(Errno::ENOENT) => write_file(c"/proc/self/attr/exec", order.to_bytes()),
        result => result,
    }
}

/// Writes `text` to an existing file in one call: these files accept the whole text or nothing.
///
/// # Errors
/// The file is not there, or refuses the text.
pub fn write_file(path: &CStr, text: &[u8]) -> Result<(), Errno> {
    let file = open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    match write(&file, text)? == text.len() {
        true => Ok(()),
        false => Err(Errno::EIO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_written_and_a_missing_one_is_not_made() {
        let missing = c"/proc/self/no_such_file";
        assert_eq!(write_file(missing, b"1"), Err(Errno::ENOENT));
        write_file(c"/dev/null", b"1").unwrap();
        assert_eq!(write_file(c"/dev/full", b"1"), Err(Errno::ENOSPC));
    }
}
