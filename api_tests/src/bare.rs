//! Runs the code of probes in a Python that nothing confines. There each attack must succeed:
//! otherwise its denial elsewhere would show nothing. Never as root.

use crate::target::{ProbeReply, Request, Target};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid, chown, geteuid};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The name of the runner in the directory of all runs.
const RUNNER_NAME: &str = "runner.py";
const RUNNER: &str = include_str!("python/bare.py");

/// The longest time for the run of one probe; probes that wait do so for some seconds.
const RUN_MAX: Duration = Duration::from_secs(60);

/// A Python of the host, and the user that runs it.
#[derive(Debug)]
pub struct Bare {
    python: PathBuf,
    uid: Option<u32>,
    dir: PathBuf,
    runs: AtomicU32,
}

impl Bare {
    /// `dir` exists, and runs have their directories there. If this process is root, `uid` must be
    /// another user.
    ///
    /// # Errors
    /// It would run as root, or can't write to the directory.
    pub fn new(python: PathBuf, uid: Option<u32>, dir: &Path) -> Result<Self> {
        let effective = uid.map_or_else(geteuid, Uid::from_raw);
        ensure!(
            !effective.is_root(),
            "attacks are not run bare as root: name another user's number"
        );
        fs::write(dir.join(RUNNER_NAME), RUNNER)?;
        chown(dir, uid.map(Uid::from_raw), None)?;
        Ok(Self {
            python,
            uid,
            dir: dir.to_owned(),
            runs: AtomicU32::new(0),
        })
    }

    /// The directory of one step, beside those of all others.
    fn new_dir(&self) -> PathBuf {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("run-{number}"))
    }

    /// Runs one interpreter. Returns the answers to the steps that it has executed, and how it
    /// ended.
    fn interpret(&self, steps: &[Request]) -> Result<(Vec<ProbeReply>, Ended)> {
        let dirs: Vec<PathBuf> = steps.iter().map(|_| self.new_dir()).collect();
        let steps: Vec<Value> = steps
            .iter()
            .zip(&dirs)
            .map(|(step, dir)| {
                let text = step.globals_text.as_deref().map(serde_json::from_str);
                let globals = text.transpose()?.unwrap_or_else(|| step.globals.clone());
                Ok(json!({ "code": step.code, "globals_dict": globals, "directory": dir }))
            })
            .collect::<Result<_>>()?;
        let mut command = Command::new(&self.python);
        command
            .args(["-E", "-B", RUNNER_NAME])
            .current_dir(&self.dir)
            .env_clear()
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("LANG", "C.UTF-8"),
                ("TMPDIR", "tmp"),
            ])
            // The environment of a service has this, too: the original's tests look for this name.
            .env("CJS_TEST_ENV_LEAKAGE", "yes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(uid) = self.uid {
            command.gid(uid).uid(uid);
        }
        let mut process = command.spawn();
        let process = process.as_mut();
        let process =
            process.map_err(|error| anyhow::anyhow!("{}: {error}", self.python.display()))?;
        let ended = finish(process, json!(steps).to_string())?;
        let answers = ended.stdout.split(|byte| *byte == b'\n');
        let answers = answers.filter_map(answer).collect();
        for dir in dirs.iter().filter(|dir| dir.exists()) {
            fs::remove_dir_all(dir).with_context(|| format!("{}: remove", dir.display()))?;
        }
        Ok((answers, ended))
    }
}

impl Target for Bare {
    fn run(&self, steps: &[Request]) -> Result<Vec<ProbeReply>> {
        let mut answers: Vec<ProbeReply> = Vec::new();
        // If a step ends its interpreter, the step has this answer, and the next step gets a new
        // interpreter.
        while answers.len() < steps.len() {
            let mut rest = steps[answers.len()..].to_vec();
            let last = answers.last().and_then(ProbeReply::globals);
            if let Some(kept) = last.and_then(|globals| globals.get("kept")) {
                rest[0].globals["kept"] = kept.clone();
            }
            let (mut done, ended) = self.interpret(&rest)?;
            done.truncate(rest.len());
            if done.len() < rest.len() {
                done.push(ended.answer());
            }
            answers.append(&mut done);
        }
        Ok(answers)
    }
}

/// The answer to a step, from a line of output. Another program may have written the line in the
/// run's place; the service, too, would take that for the run's globals.
fn answer(line: &[u8]) -> Option<ProbeReply> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let globals = value.as_object()?;
    let body = match globals.contains_key("globals_dict") {
        true => value.to_string(),
        false => json!({ "globals_dict": globals }).to_string(),
    };
    Some(ProbeReply::new(200, body))
}

struct Ended {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Ended {
    fn answer(&self) -> ProbeReply {
        let status = self.status.code().or(self.status.signal().map(|n| -n));
        let emsg = format!(
            "Couldn't execute jailed code: stdout: {:?}, stderr: {:?} with status code: {}",
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr),
            status.unwrap_or_default()
        );
        ProbeReply::new(200, json!({ "globals_dict": {}, "emsg": emsg }).to_string())
    }
}

/// Writes the input of a process and reads its output. Kills the rest of its process group when its
/// pipes are closed or its time is over.
fn finish(process: &mut Child, input: String) -> Result<Ended> {
    let group = Pid::from_raw(i32::try_from(process.id())?);
    let mut stdin = process.stdin.take().context("no standard input")?;
    // A process that does not read its input has ended, and its status tells that.
    thread::spawn(move || stdin.write_all(input.as_bytes()));
    let stdout = drain(process.stdout.take().context("no standard output")?);
    let stderr = drain(process.stderr.take().context("no standard error")?);
    let started = Instant::now();
    let rest = || RUN_MAX.saturating_sub(started.elapsed());
    let outputs = stdout
        .recv_timeout(rest())
        .and_then(|stdout| Ok((stdout, stderr.recv_timeout(rest())?)));
    // The process is not reaped yet, so the number is still that of its group. The group's other
    // processes may be gone.
    let _ = killpg(group, Signal::SIGKILL);
    let status = process.wait()?;
    let (stdout, stderr) =
        outputs.with_context(|| format!("a bare run took more than {} s", RUN_MAX.as_secs()))?;
    Ok(Ended {
        status,
        stdout,
        stderr,
    })
}

fn drain(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sends, receives) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sends.send(bytes);
    });
    receives
}
