//! The limit: an interpreter that is already running, behind a pipe. See `benches/python/limit.py`.

use super::ours::development_configuration;
use super::{Contender, kill};
use crate::workload::{Reply, Workload};
use anyhow::{Context, Result, ensure};
use codejail_harness::dir::TestDir;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The interpreter while it runs.
pub struct Limit {
    process: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
    _dir: TestDir,
}

impl Limit {
    /// Starts it. It imports what the development configuration preloads.
    pub fn start(python: &Path, library: &[u8]) -> Result<Self> {
        let config = development_configuration(python)?;
        let preload = config["python"]["preload"].as_array().context("preload")?;
        let dir = TestDir::try_new("limit")?;
        let path = dir.join("python_lib.zip");
        std::fs::write(&path, library)?;
        let mut process = Command::new(python)
            .args(["-E", "-B"])
            .arg(std::path::absolute("benches/python/limit.py")?)
            .arg(&path)
            .args(preload.iter().filter_map(toml::Value::as_str))
            .env("OPENBLAS_NUM_THREADS", "1")
            // The code's files go to this directory, for example matplotlib's list of fonts.
            .current_dir(&*dir)
            .env("TMPDIR", &*dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| python.display().to_string())?;
        let jobs = process.stdin.take().context("no standard input")?;
        let answers = BufReader::new(process.stdout.take().context("no standard output")?);
        let mut limit = Self {
            process,
            jobs,
            answers,
            _dir: dir,
        };
        let mut line = String::new();
        limit.answers.read_line(&mut line)?;
        ensure!(line == "ready\n", "limit.py did not start: {line:?}");
        Ok(limit)
    }

    /// The pid of the interpreter.
    pub fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }
}

impl Contender for Limit {
    fn execute(&mut self, workload: &Workload) -> Result<Duration> {
        let job = serde_json::json!([workload.code, workload.globals]).to_string() + "\n";
        let mut line = String::new();
        let started = Instant::now();
        self.jobs.write_all(job.as_bytes())?;
        self.answers.read_line(&mut line)?;
        let elapsed = started.elapsed();
        let answer = match serde_json::from_str(&line)? {
            serde_json::Value::String(text) => Reply::Failure(text),
            globals => Reply::Globals(globals),
        };
        workload.check(&answer)?;
        Ok(elapsed)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        kill(&mut self.process);
    }
}
