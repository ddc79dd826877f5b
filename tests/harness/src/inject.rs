//! Faults that root can put into a running service from outside.

use crate::processes::{Process, status_number};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::Pid;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The descriptor of a worker's control socket (`worker/src/control.rs`).
pub const WORKER_CONTROL: RawFd = 3;
/// The descriptor of the spawner's socket (`spawner/src/lib.rs`).
pub const SPAWNER_SOCKET: RawFd = 0;

/// Sends a signal to a process of a service.
pub fn signal(process: &Process, signal: Signal) {
    kill(Pid::from_raw(process.pid), signal).expect("kill");
}

/// A copy of a descriptor of another process, pidfd_getfd(2).
pub fn steal(process: &Process, fd: RawFd) -> OwnedFd {
    // SAFETY: both calls take numbers only; the descriptors that they return are new and ours.
    let (pidfd, stolen) = unsafe {
        let pidfd = libc::syscall(libc::SYS_pidfd_open, process.pid, 0);
        let pidfd = Errno::result(pidfd).expect("pidfd_open");
        let stolen = libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd, 0);
        (pidfd, Errno::result(stolen).expect("pidfd_getfd"))
    };
    let own = |fd: libc::c_long| {
        let fd = RawFd::try_from(fd).expect("a descriptor");
        // SAFETY: the kernel has just made it for us.
        unsafe { OwnedFd::from_raw_fd(fd) }
    };
    drop(own(pidfd));
    own(stolen)
}

/// Sends a packet over a socket of another process, as if that process had sent it.
pub fn say_as(process: &Process, fd: RawFd, packet: &[u8]) {
    let socket = steal(process, fd);
    send(socket.as_raw_fd(), packet, MsgFlags::empty()).expect("send");
}

/// Sets one resource limit of a running process by prlimit(1), for example `("--nproc", "1")`.
/// prlimit runs as the user of that process, so it needs no capability.
pub fn limit(pid: i32, limit: &str, value: &str) {
    let id = |field: &str| {
        let id = status_number(pid, field).expect("it lives");
        u32::try_from(id).expect("an id")
    };
    let done = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("{limit}={value}")])
        .gid(id("Gid:"))
        .uid(id("Uid:"))
        .status();
    assert!(done.expect("prlimit").success(), "prlimit {limit}={value}");
}

/// Compiles C text to a library for `LD_PRELOAD`, in `dir`.
#[must_use]
pub fn build_library(dir: &Path, text: &str) -> PathBuf {
    let (source, library) = (dir.join("inject.c"), dir.join("inject.so"));
    fs::write(&source, text).expect("write");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .status();
    assert!(built.expect("cc").success());
    library
}
