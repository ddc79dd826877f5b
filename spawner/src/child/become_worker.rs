//! From clone to exec, in the new process: only system calls, over memory prepared before.
//!
//! Another thread of the spawner (the cleaner) may have held any lock when the process was cloned,
//! so nothing here allocates, formats or calls into libc beyond thin wrappers of system calls.

use super::root::Root;
use crate::host::namespaces::close_ipc;
use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

/// The steps as they are named in an error.
const STEPS: [&str; 13] = [
    "wait for the spawner",
    "setsid",
    "System V IPC",
    ROOT_STEP,
    "standard streams",
    "out-of-memory score",
    "enter its directory",
    "capability bounds",
    "user and group",
    "capabilities",
    "signals",
    "apparmor profile",
    "exec of python (it, its interpreter or a library of its own may lie where workers see nothing: \
     python.read_paths)",
];

/// The step that a failure's place belongs to.
const ROOT_STEP: &str = "a root of its own";
const ROOT: u32 = 3;

/// The step after which the pipe for failures has its new place.
const PLACED: u32 = 4;

/// What a worker may do that other users may not: become its sandboxes' users, and kill them
/// (linux/capability.h: CAP_KILL 5, CAP_SETGID 6, CAP_SETUID 7).
const CAPABILITIES: [u32; 3] = [5, 6, 7];

/// Where the pipe for failures is once the worker's own descriptors are in place.
const FAILED: i32 = 5;

/// What failed in the new process, as it tells the spawner.
#[derive(Debug, Clone, Copy)]
pub struct Failure {
    step: u32,
    /// The kernel's answer.
    pub errno: Errno,
    /// Which part of the root it was about.
    pub place: usize,
}

/// A failure as bytes: three native numbers.
pub const FAILURE_BYTES: usize = 16;

impl Failure {
    fn to_bytes(self) -> [u8; FAILURE_BYTES] {
        let mut bytes = [0; FAILURE_BYTES];
        bytes[..4].copy_from_slice(&self.step.to_ne_bytes());
        bytes[4..8].copy_from_slice(&(self.errno as i32).to_ne_bytes());
        bytes[8..].copy_from_slice(&(self.place as u64).to_ne_bytes());
        bytes
    }

    /// What [`run`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: [u8; FAILURE_BYTES]) -> Self {
        let [s0, s1, s2, s3, e0, e1, e2, e3, place @ ..] = bytes;
        Self {
            step: u32::from_ne_bytes([s0, s1, s2, s3]),
            errno: Errno::from_raw(i32::from_ne_bytes([e0, e1, e2, e3])),
            place: usize::try_from(u64::from_ne_bytes(place)).unwrap_or(usize::MAX),
        }
    }

    /// The step's name; `place` is what it was about if it was the root.
    #[must_use]
    pub fn step(&self, place: Option<String>) -> String {
        let name = STEPS.get(self.step as usize).copied();
        match (name, place) {
            (Some(ROOT_STEP), Some(place)) => format!("{ROOT_STEP}: {place}"),
            (name, _) => name.unwrap_or("unknown step").to_owned(),
        }
    }
}

/// Everything the new process needs, in memory that it gets a copy of.
pub struct Plan<'a> {
    python: &'a CString,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    directory: CString,
    uid: Option<u32>,
    /// Standard input, output and error in one pair, control socket, module.
    descriptors: [i32; 4],
    failed: i32,
    surroundings: Surroundings<'a>,
}

/// What the new process is put into.
pub struct Surroundings<'a> {
    /// For `attr/exec`: the AppArmor profile to enter, where that layer is in use.
    pub apparmor: Option<&'a CStr>,
    /// Whether the IPC namespace is closed.
    pub closes_ipc: bool,
    /// The root to enter, if it gets one.
    pub root: Option<Root<'a>>,
}

impl<'a> Plan<'a> {
    /// `descriptors`: the pipe that releases the child and then, at its end, is its standard input;
    /// the log pipe; the control socket; the worker module.
    pub fn new(
        python: &'a CString,
        environment: &'a [CString],
        directory: CString,
        uid: Option<u32>,
        descriptors: [&OwnedFd; 4],
        failed: &OwnedFd,
        surroundings: Surroundings<'a>,
    ) -> Self {
        let arguments = [python.as_c_str(), c"-E", c"-B", c"jailed_code"];
        let pointers = |strings: &mut dyn Iterator<Item = *const libc::c_char>| -> Vec<_> {
            strings.chain([ptr::null()]).collect()
        };
        Self {
            python,
            arguments: pointers(&mut arguments.iter().map(|text| text.as_ptr())),
            environment: pointers(&mut environment.iter().map(|text| text.as_ptr())),
            directory,
            uid,
            descriptors: descriptors.map(AsRawFd::as_raw_fd),
            failed: failed.as_raw_fd(),
            surroundings,
        }
    }
}

/// Becomes the worker, or tells the spawner which step failed and ends.
pub fn run(plan: &mut Plan<'_>) -> ! {
    let failure = match steps(plan) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    let pipe = if failure.step > PLACED {
        FAILED
    } else {
        plan.failed
    };
    tell(pipe, failure)
}

/// Enters a root and ends, or tells what failed.
pub fn try_root(root: &mut Root<'_>, failed: &OwnedFd) -> ! {
    match root.enter() {
        // SAFETY: _exit(2) takes a number and does not return.
        Ok(()) => unsafe { libc::_exit(0) },
        Err((errno, place)) => {
            let step = ROOT;
            tell(failed.as_raw_fd(), Failure { step, errno, place })
        }
    }
}

fn tell(pipe: i32, failure: Failure) -> ! {
    let message = failure.to_bytes();
    // SAFETY: writes from a live buffer, then ends; nobody is left to hear of a failure here.
    unsafe {
        libc::write(pipe, message.as_ptr().cast(), message.len());
        libc::_exit(1)
    }
}

/// The order matters: IPC while the host's /proc is there, the root while there is CAP_SYS_ADMIN and its descriptors have their numbers,
/// descriptors while they may be renumbered freely, bounds while there is CAP_SETPCAP, user before
/// capabilities, the death signal after the change of user that clears it.
fn steps(plan: &mut Plan<'_>) -> Result<std::convert::Infallible, Failure> {
    let at = |step: u32| {
        move |errno: Errno| Failure {
            step,
            errno,
            place: usize::MAX,
        }
    };
    wait_for_spawner(plan.descriptors[0]).map_err(at(0))?;
    // SAFETY: setsid(2) takes nothing and touches no memory.
    check(unsafe { libc::setsid() }).map_err(at(1))?;
    if plan.surroundings.closes_ipc {
        close_ipc().map_err(at(2))?;
    }
    if let Some(root) = &mut plan.surroundings.root {
        root.enter().map_err(|(errno, place)| Failure {
            step: ROOT,
            errno,
            place,
        })?;
    }
    place_descriptors(plan).map_err(at(4))?;
    be_first_when_memory_is_short().map_err(at(5))?;
    // SAFETY: the path is a C string that outlives the call.
    check(unsafe { libc::chdir(plan.directory.as_ptr()) }).map_err(at(6))?;
    if let Some(uid) = plan.uid {
        bound_capabilities().map_err(at(7))?;
        become_user(uid).map_err(at(8))?;
        keep_capabilities().map_err(at(9))?;
    }
    set_signals().map_err(at(10))?;
    if let Some(profile) = plan.surroundings.apparmor {
        enter_profile_at_exec(profile).map_err(at(11))?;
    }
    // SAFETY: all three are null-terminated arrays of C strings, or one, that outlive the call.
    unsafe {
        libc::execve(
            plan.python.as_ptr(),
            plan.arguments.as_ptr(),
            plan.environment.as_ptr(),
        );
    }
    Err(at(12)(Errno::last()))
}

/// Where memory runs out, a sandbox shall go before anything else of the host (proc(5)). The kernel
/// picks the largest of those with the same score, and the worker is never that for long. A host
/// without `/proc` has no such thing to set.
fn be_first_when_memory_is_short() -> Result<(), Errno> {
    let score = b"1000";
    // SAFETY: the path is a C string, the buffer is live and as long as said, the number is our own.
    unsafe {
        let file = libc::open(
            c"/proc/self/oom_score_adj".as_ptr(),
            libc::O_WRONLY | libc::O_CLOEXEC,
        );
        match check(file) {
            Err(Errno::ENOENT) => return Ok(()),
            opened => opened?,
        };
        let written = libc::write(file, score.as_ptr().cast(), score.len());
        libc::close(file);
        check(written as i32).map(drop)
    }
}

/// One byte comes when the user is mapped; end of file means that the spawner has given up.
fn wait_for_spawner(go: i32) -> Result<(), Errno> {
    let mut byte = 0_u8;
    // SAFETY: reads one byte into a live one.
    match check(unsafe { libc::read(go, (&raw mut byte).cast(), 1) } as i32)? {
        1 => Ok(()),
        _ => Err(Errno::ECANCELED),
    }
}

/// 0 is a pipe at its end, as a sandbox's will be; 1 and 2 the log; 3 control; 4 the module; 5 the pipe
/// for failures, until exec. All are first copied out of the way of these numbers.
fn place_descriptors(plan: &Plan<'_>) -> Result<(), Errno> {
    let mut copies = [0; 5];
    for (copy, fd) in copies
        .iter_mut()
        .zip(plan.descriptors.iter().chain([&plan.failed]))
    {
        // SAFETY: fcntl(2) with numbers only.
        *copy = check(unsafe { libc::fcntl(*fd, libc::F_DUPFD, FAILED + 1) })?;
    }
    let [input, log, control, module, failed] = copies;
    for (from, to) in [
        (input, 0),
        (log, 1),
        (log, 2),
        (control, 3),
        (module, 4),
        (failed, FAILED),
    ] {
        // SAFETY: dup2(2) takes two numbers; what the second held was the spawner's business.
        check(unsafe { libc::dup2(from, to) })?;
    }
    // From here on failures go to the pipe's new place; all from there on closes at exec.
    // SAFETY: close_range(2) takes three numbers.
    check(unsafe { libc::close_range(5, u32::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) })?;
    Ok(())
}

fn bound_capabilities() -> Result<(), Errno> {
    /// Far over the last capability of any kernel: the drop past it fails with EINVAL and ends the loop.
    const CAPABILITIES_MAX: u32 = 64;
    for capability in (0..CAPABILITIES_MAX).filter(|number| !CAPABILITIES.contains(number)) {
        // SAFETY: prctl(2) with numbers only.
        match check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }) {
            Ok(_) => {}
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn become_user(uid: u32) -> Result<(), Errno> {
    // SAFETY: numbers, and an empty list of groups; raw calls, as libc's wrappers would signal other
    // threads that do not exist in this process.
    unsafe {
        check(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        check_long(libc::syscall(libc::SYS_setgroups, 0, ptr::null::<u32>()))?;
        check_long(libc::syscall(libc::SYS_setresgid, uid, uid, uid))?;
        check_long(libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
    }
    Ok(())
}

/// Keeps the three over the exec: permitted, effective and inheritable, then ambient
/// (capabilities(7)).
fn keep_capabilities() -> Result<(), Errno> {
    let mask = CAPABILITIES
        .iter()
        .fold(0_u32, |mask, number| mask | 1 << number);
    let header: [u32; 2] = [0x2008_0522, 0];
    let sets: [[u32; 3]; 2] = [[mask; 3], [0; 3]];
    // SAFETY: capset(2) reads one header and two triples, which outlive the call.
    check_long(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) })?;
    for capability in CAPABILITIES {
        // SAFETY: prctl(2) with numbers only.
        check(unsafe {
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE,
                capability,
                0,
                0,
            )
        })?;
    }
    Ok(())
}

/// Rust ignores SIGPIPE and exec keeps that; Python shall start as from a shell. And the worker
/// dies with the spawner, also where no PID namespace sees to it.
fn set_signals() -> Result<(), Errno> {
    // SAFETY: a default action and a number; no handler of ours is installed.
    unsafe {
        if libc::signal(libc::SIGPIPE, libc::SIG_DFL) == libc::SIG_ERR {
            return Err(Errno::last());
        }
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
    }
    Ok(())
}

/// AppArmor's own file, and where there is none that of the only security module (kernels before 5.8).
/// A profile that does not exist fails here, or at the exec.
fn enter_profile_at_exec(profile: &CStr) -> Result<(), Errno> {
    let fd = match open_to_write(c"/proc/self/attr/apparmor/exec") {
        Err(Errno::ENOENT) => open_to_write(c"/proc/self/attr/exec"),
        opened => opened,
    }?;
    let length = profile.count_bytes();
    // SAFETY: writes from a string that outlives the call; the descriptor was opened here, closes at
    // exec, and is above those that have their places.
    let written = unsafe { libc::write(fd, profile.as_ptr().cast(), length) };
    match Errno::result(written)?.cast_unsigned() == length {
        true => Ok(()),
        false => Err(Errno::EIO),
    }
}

fn open_to_write(path: &CStr) -> Result<i32, Errno> {
    // SAFETY: the path is a C string that outlives the call.
    check(unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) })
}

fn check(result: i32) -> Result<i32, Errno> {
    Errno::result(result)
}

fn check_long(result: libc::c_long) -> Result<libc::c_long, Errno> {
    Errno::result(result)
}
