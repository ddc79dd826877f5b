//! Which Python the sandboxes have, and where its files are: the spawner asks it, once, before it
//! starts any worker.
//!
//! Only Python knows: virtual environments, static builds and distributions all differ. It answers
//! as the first worker's user, never as root. It is the operator's Python and is not confined
//! otherwise.

use super::reach::what_keeps_out;
use crate::error::LaunchError;
use codejail_protocol::spawn::SpawnerConfig;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::geteuid;
use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Python prints the answer as texts between zero bytes, so that it can be told from other output
/// on the same pipe.
const QUESTION: &str = "import os, sys; print('', \
     '%s %d.%d%s' % (sys.implementation.name, *sys.version_info[:2], getattr(sys, 'abiflags', '')), \
     sys.prefix, os.path.join(sys.base_prefix, 'lib'), \
     os.path.dirname(os.__file__), os.path.realpath(sys.executable), '', sep='\\0')";
const PATHS: usize = 4;

/// The oldest that the worker module is built for (`abi3-py38`).
const OLDEST: (u32, u32) = (3, 8);

/// How long Python may take: it starts in 15 ms, under emulation in a second. The supervisor waits
/// longer for the spawner.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Most bytes of an answer: four paths of PATH_MAX bytes are 16 KiB, and a traceback has room too.
const ANSWER_BYTES_MAX: usize = 32 * 1024;

/// The paths that the interpreter itself reads: its own file, its environment, its standard
/// library.
///
/// # Errors
/// The program does not answer as a Python does; the error has its last line of output. Or the
/// worker module can't run in this Python.
pub fn ask(config: &SpawnerConfig) -> Result<Vec<PathBuf>, LaunchError> {
    let (said, status) = run(config).map_err(|error| wrong(config, explained(config, error)))?;
    let mut parts = said.split(|byte| *byte == 0).skip(1);
    let which = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let paths: Vec<PathBuf> = parts
        .by_ref()
        .take(PATHS)
        .map(|path| PathBuf::from(OsString::from_vec(path.to_vec())))
        .filter(|path| path.is_absolute())
        .collect();
    if paths.len() == PATHS && parts.next().is_some() {
        usable(&which).map_err(|why| wrong(config, io::Error::other(why)))?;
        return Ok([paths, vec![config.python_bin.clone()]].concat());
    }
    let said = String::from_utf8_lossy(&said);
    let last_line = said.trim_end().rsplit('\n').next().unwrap_or_default();
    let last_line = match last_line {
        "" => "it said nothing",
        last_line => last_line,
    };
    let error = format!("it does not answer as a Python does ({status}): {last_line}");
    Err(wrong(config, io::Error::other(error)))
}

/// Whether the worker module runs in `which`: `cpython 3.13t` and the like.
fn usable(which: &str) -> Result<(), String> {
    let needed = "codejail needs CPython 3.8 or newer, as it is built by default";
    let Some(version) = which.strip_prefix("cpython ") else {
        return Err(format!("it is {which}: {needed}"));
    };
    let digits_end = version.find(|c: char| c.is_ascii_alphabetic());
    let (number, flags) = version.split_at(digits_end.unwrap_or(version.len()));
    if flags.contains('t') {
        return Err(format!(
            "it is a free-threaded CPython {number}: {needed}, with the GIL"
        ));
    }
    let number = number.split_once('.');
    let number = number.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    match number {
        Some(number) if number >= OLDEST => Ok(()),
        _ => Err(format!("it is CPython {version}: {needed}")),
    }
}

fn wrong(config: &SpawnerConfig, error: io::Error) -> LaunchError {
    LaunchError::File(format!("python.bin = {:?}", config.python_bin), error)
}

/// Adds the reason to a refusal to execute Python, where the path to the interpreter shows it.
fn explained(config: &SpawnerConfig, error: io::Error) -> io::Error {
    let refused = error.kind() == io::ErrorKind::PermissionDenied && geteuid().is_root();
    match what_keeps_out(&config.python_bin, config.uid_base) {
        Some(why) if refused => io::Error::other(format!("{error}: {why}")),
        _ => error,
    }
}

/// What Python says, and how it ended.
fn run(config: &SpawnerConfig) -> io::Result<(Vec<u8>, std::process::ExitStatus)> {
    let (listener, speaker) = io::pipe()?;
    let mut command = Command::new(&config.python_bin);
    command
        .args(["-E", "-B", "-c", QUESTION])
        .env_clear()
        .envs(config.env.iter().cloned())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(speaker.try_clone()?)
        .stderr(speaker);
    if geteuid().is_root() {
        // Supplementary groups go too (std's Command, where the caller is root).
        command.uid(config.uid_base).gid(config.uid_base);
    }
    let mut child = command.spawn()?;
    // The command holds the pipe's other end too, and the answer ends only when all of them are
    // closed.
    drop(command);
    let said = listen(listener);
    // Python may hang, or have closed the pipe and stay. If it has ended, it keeps its status.
    child.kill()?;
    Ok((said?, child.wait()?))
}

/// All that Python says, within bounds of time and size.
fn listen(mut listener: PipeReader) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + ANSWER_MAX;
    let mut said = Vec::new();
    let mut chunk = [0; 4096];
    while said.len() < ANSWER_BYTES_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Ok(0) => {
                let error = format!("it gave no answer in {ANSWER_MAX:?}");
                return Err(io::Error::other(error));
            }
            // The spawner ignores signals: the supervisor obeys them.
            Err(Errno::EINTR) => continue,
            polled => polled?,
        };
        match listener.read(&mut chunk)? {
            0 => break,
            count => said.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::usable;

    #[test]
    fn what_the_worker_module_can_t_run_in_is_refused_by_name() {
        for which in [
            "cpython 3.8",
            "cpython 3.11",
            "cpython 3.13d",
            "cpython 4.0",
        ] {
            assert_eq!(usable(which), Ok(()), "{which}");
        }
        for (which, why) in [
            ("cpython 3.13t", "it is a free-threaded CPython 3.13: "),
            ("cpython 3.14td", "it is a free-threaded CPython 3.14: "),
            ("cpython 3.7m", "it is CPython 3.7m: "),
            ("cpython 2.7", "it is CPython 2.7: "),
            ("pypy 3.11", "it is pypy 3.11: "),
            ("", "it is : "),
        ] {
            let error = usable(which).unwrap_err();
            assert!(error.starts_with(why), "{which}: {error}");
        }
    }
}
