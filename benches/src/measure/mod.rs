//! The measurements, one file each, and what they share: the contenders, and how long to measure.

pub mod before;
pub mod cost;
pub mod globals;
pub mod half_load;
pub mod latency;
pub mod memory;
pub mod preload;
pub mod start;
pub mod throughput;

use crate::contender::{Bare, Contender, Http, Limit, Options, Original, Ours};
use crate::workload::Suite;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Names of the contenders in tables; this service.
pub const OURS: &str = "codejail";
/// This service, with one connection for all requests.
pub const OURS_KEPT: &str = "codejail, connection kept";
/// An earlier build of this service.
pub const BEFORE: &str = "before";
/// The original.
pub const ORIGINAL: &str = "original";
/// A fresh interpreter.
pub const BARE: &str = "bare Python";
/// A running interpreter.
pub const LIMIT: &str = "limit";

/// Time between two requests of one client to this service. In it the next sandbox is made, so that
/// this does not happen while the next run is measured. (`throughput` measures without a pause.)
pub const PAUSE: Duration = Duration::from_millis(15);

/// Says on standard error what is being measured, and how long everything has taken so far.
pub fn say(what: &str) {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    eprintln!("{:>4} s  {what}", STARTED.elapsed().as_secs());
}

/// Where the programs are, and how thorough to be.
#[derive(Debug, Clone)]
pub struct BenchPlan {
    /// The `codejail` executable.
    pub codejail: PathBuf,
    /// The executable of an earlier build, if there is one to compare with.
    pub before: Option<PathBuf>,
    /// The sandbox venv's interpreter.
    pub python: PathBuf,
    /// The interpreters of other venvs. This build on each of them is compared with this build on
    /// `python`.
    pub other_pythons: Vec<PathBuf>,
    /// The interpreter of the venv with gunicorn. Without it the original is left out.
    pub original_python: Option<PathBuf>,
    /// Everything that takes time is divided by this.
    pub quickness: u32,
}

impl BenchPlan {
    /// This time, or a shorter one in a quick run.
    pub fn time(&self, full: Duration) -> Duration {
        full / self.quickness
    }

    /// This number, or a smaller one in a quick run, but at least 3.
    pub fn count(&self, full: usize) -> usize {
        (full / self.quickness as usize).max(3)
    }

    /// This service with the development configuration, changed by this TOML.
    pub fn ours(&self, overrides: &str) -> Result<Ours> {
        Self::build(&self.codejail, &self.python, overrides)
    }

    /// The same for the earlier build, if there is one.
    pub fn before(&self, overrides: &str) -> Result<Option<Ours>> {
        let before = self.before.as_deref();
        before
            .map(|codejail| Self::build(codejail, &self.python, overrides))
            .transpose()
    }

    fn build(codejail: &Path, python: &Path, overrides: &str) -> Result<Ours> {
        Ours::start(&Options {
            codejail: codejail.to_owned(),
            python: python.to_owned(),
            overrides: overrides.to_owned(),
        })
    }

    /// The original, if it is wanted.
    pub fn original(&self) -> Result<Option<Original>> {
        let python = self.original_python.as_deref();
        python
            .map(|python| Original::start(python, &self.python))
            .transpose()
    }
}

/// The contenders that run all the time. Each measurement asks them in turn.
pub struct Field {
    /// This service with the development configuration.
    pub ours: Ours,
    /// An earlier build of this service, if there is one.
    pub before: Option<Ours>,
    /// The original, if it is wanted.
    pub original: Option<Original>,
    /// Fresh interpreters.
    pub bare: Bare,
    /// A running interpreter.
    pub limit: Limit,
}

impl Field {
    /// Starts them. A bare Python says what the answer to each workload must be.
    pub fn start(plan: &BenchPlan, suite: &mut Suite) -> Result<Self> {
        let bare = Bare::new(&plan.python, &suite.scripts)?;
        for workload in &mut suite.workloads {
            let answer = bare.answer(workload)?;
            workload.must_answer(answer).context("a bare Python")?;
        }
        Ok(Self {
            ours: plan.ours("")?,
            before: plan.before("")?,
            original: plan.original()?,
            bare,
            limit: Limit::start(&plan.python, &suite.library)?,
        })
    }

    /// The contenders, each with its name and how many times it is asked in a round: the quick ones
    /// more often.
    fn entrants(&mut self) -> Vec<Entrant<'_>> {
        let ours = self.ours.address();
        let mut entrants = vec![
            Entrant::new(OURS, 8, PAUSE, Box::new(Http::new(ours, false))),
            Entrant::new(OURS_KEPT, 8, PAUSE, Box::new(Http::new(ours, true))),
        ];
        if let Some(before) = &self.before {
            let client = Http::new(before.address(), false);
            entrants.push(Entrant::new(BEFORE, 8, PAUSE, Box::new(client)));
        }
        if let Some(original) = &self.original {
            let client = Http::new(original.address(), false);
            entrants.push(Entrant::new(ORIGINAL, 2, Duration::ZERO, Box::new(client)));
        }
        entrants.push(Entrant::new(
            BARE,
            1,
            Duration::ZERO,
            Box::new(&mut self.bare),
        ));
        entrants.push(Entrant::new(
            LIMIT,
            8,
            Duration::ZERO,
            Box::new(&mut self.limit),
        ));
        entrants
    }

    /// Stops the contenders that must end in good order.
    pub fn stop(self) -> Result<()> {
        if let Some(original) = self.original {
            original.stop()?;
        }
        if let Some(before) = self.before {
            before.stop()?;
        }
        self.ours.stop()
    }
}

/// A contender that is asked in turn.
pub struct Entrant<'a> {
    /// Its name in tables.
    pub name: String,
    calls_per_round: usize,
    pause: Duration,
    contender: Box<dyn Contender + 'a>,
    times_us: Vec<u32>,
}

impl<'a> Entrant<'a> {
    /// A contender that is asked so many times in a round, with a pause before each.
    pub fn new(
        name: &str,
        calls_per_round: usize,
        pause: Duration,
        contender: Box<dyn Contender + 'a>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            calls_per_round,
            pause,
            contender,
            times_us: Vec::new(),
        }
    }
}

impl<C: Contender> Contender for &mut C {
    fn execute(&mut self, workload: &crate::workload::Workload) -> Result<Duration> {
        (**self).execute(workload)
    }
}
