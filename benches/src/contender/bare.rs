//! A fresh `python -E -B` for each run, with the original's runner. It does what the original does,
//! but without sudo, limits and HTTP.

use super::Contender;
use crate::workload::{Reply, Scripts, Workload};
use anyhow::{Context, Result};
use codejail_harness::dir::TestDir;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts a Python for each execution.
pub struct Bare {
    python: PathBuf,
    scripts: Scripts,
    dir: TestDir,
}

impl Bare {
    /// Makes a directory in which the Pythons work. It is removed when this value is dropped.
    pub fn new(python: &Path, scripts: &Scripts) -> Result<Self> {
        let dir = TestDir::try_new("bare")?;
        std::fs::create_dir(dir.join("tmp"))?;
        Ok(Self {
            python: python.to_owned(),
            scripts: scripts.clone(),
            dir,
        })
    }

    /// The answer to a workload. All other contenders must give the same.
    pub fn answer(&self, workload: &Workload) -> Result<Reply> {
        self.run(workload).map(|(_, answer)| answer)
    }

    fn run(&self, workload: &Workload) -> Result<(Duration, Reply)> {
        let script = match workload.library {
            None => &self.scripts.plain,
            Some(_) => &self.scripts.with_library,
        };
        let job = serde_json::json!([workload.code, workload.globals]).to_string();
        let started = Instant::now();
        std::fs::write(self.dir.join("jailed_code"), script)?;
        if let Some(library) = &workload.library {
            std::fs::write(self.dir.join("python_lib.zip"), library)?;
        }
        let mut process = self.spawn("jailed_code")?;
        let mut stdin = process.stdin.take().context("no standard input")?;
        stdin.write_all(job.as_bytes())?;
        drop(stdin);
        let output = process.wait_with_output()?;
        let elapsed = started.elapsed();
        let answer = if output.status.success() {
            Reply::Globals(serde_json::from_slice(&output.stdout)?)
        } else {
            Reply::Failure(String::from_utf8(output.stderr)?)
        };
        Ok((elapsed, answer))
    }

    fn spawn(&self, script: &str) -> Result<Child> {
        Command::new(&self.python)
            .args(["-E", "-B", script])
            .current_dir(&*self.dir)
            .env("TMPDIR", "tmp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| self.python.display().to_string())
    }

    /// Starts this number of Pythons. Each executes the code, says `ready` on standard error, and
    /// stays until its input ends.
    pub fn hold(&self, code: &str, count: usize) -> Result<Vec<Child>> {
        let script = format!(
            "import sys, six, json\n{code}\nsys.stderr.write('ready\\n')\nsys.stdin.read()\n"
        );
        std::fs::write(self.dir.join("held"), script)?;
        (0..count).map(|_| self.spawn("held")).collect()
    }
}

impl Contender for Bare {
    fn execute(&mut self, workload: &Workload) -> Result<Duration> {
        let (elapsed, answer) = self.run(workload)?;
        workload.check(&answer)?;
        Ok(elapsed)
    }
}
