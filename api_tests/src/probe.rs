//! What a probe is: code to run, what it shows, and what must come of it.

/// What belongs together.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// One word, for reports.
    pub name: &'static str,
    /// Its probes, in parts by theme.
    pub parts: &'static [&'static [Probe]],
}

impl Group {
    /// All its probes.
    pub fn probes(&'static self) -> impl Iterator<Item = &'static Probe> {
        self.parts.iter().copied().flatten()
    }
}

/// Code to run, and what must come of it. The code is harmless also where it succeeds against the
/// expectation.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// `deny_…`, `allow_…` or `support_…`.
    pub name: &'static str,
    /// One sentence: what passing it shows.
    pub shows: &'static str,
    /// What must come of it, and why.
    pub kind: ProbeKind,
    /// How its code is run.
    pub plan: ProbePlan,
    /// Without which it says nothing.
    pub needs: &'static [Need],
    /// The test of the original's own API tests whose counterpart this is (`original.rs`).
    pub original: Option<&'static str>,
}

/// What must come of a probe.
#[derive(Debug, Clone, Copy)]
pub enum ProbeKind {
    /// An attack that does harm if it succeeds (data read, a file changed, a process touched, code
    /// run, a packet sent): two layers must stop it.
    Harm(Denial),
    /// A call that should not be reachable, or a bound: one layer may do, for this reason.
    Surface(Denial, &'static str),
    /// An attack on what others have of the machine, which no answer of its own shows: it is judged
    /// beside a victim alone (`victim.rs`). The text says what it uses up.
    Cost(&'static str),
    /// What must work.
    Works(Expected),
}

impl ProbeKind {
    /// Whether it is an attack.
    #[must_use]
    pub const fn is_attack(&self) -> bool {
        !matches!(self, Self::Works(_))
    }
}

/// How a denied attack is known from one that succeeded. Where it ends otherwise it is broken.
#[derive(Debug, Clone, Copy)]
pub enum Denial {
    /// The code sets `x` to what `outcome` of the prelude returned.
    Reported,
    /// The run is ended with one of these statuses before its code could report.
    Ended(&'static [i32]),
    /// The answer has at most so many bytes.
    AnswerBytesMax(usize),
}

/// What must come of code that must work.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// It runs to its end and the global `x` is this JSON.
    X(&'static str),
    /// It fails with this in its error.
    Error(&'static str),
    /// The whole answer: the globals are this JSON and nothing else, and so is the error.
    Answer {
        /// All globals.
        globals: &'static str,
        /// The error with each line's number as `NN`; none where the run ends well.
        emsg: Option<&'static str>,
    },
    /// The request is refused: HTTP's status, and `error` of the body.
    Refused(u16, &'static str),
}

/// How the code of a probe is run.
#[derive(Debug, Clone, Copy)]
pub enum ProbePlan {
    /// One execution.
    Once(&'static str),
    /// Something is planted in one execution and looked for in the next ones; `kept` of the first
    /// one's globals is known to them.
    Planted {
        /// What plants.
        plant: &'static str,
        /// What looks, in each of `LOOKS` executions.
        look: &'static str,
    },
    /// Something is left in one execution, and gone before the last of the next ones: it is removed
    /// after the answer, so that the first of them may still find it.
    Left {
        /// What leaves.
        plant: &'static str,
        /// What looks, in each of `LOOKS` executions; waits for a while itself.
        look: &'static str,
    },
    /// The second runs while the first does.
    Beside {
        /// Runs on for a second at most.
        victim: &'static str,
        /// Looks for it.
        attack: &'static str,
    },
    /// One execution of a request that is written out.
    Asked(Asked),
    /// One execution with so many integers, times `scale`, and a deep list as its globals.
    Loaded {
        /// How many.
        integers: u32,
        /// What is run.
        code: &'static str,
    },
}

/// A request with what other probes leave to the runner.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// What is run.
    pub code: &'static str,
    /// All its globals, an object as JSON; empty: those of every probe.
    pub globals: &'static str,
    /// `python_path` as JSON: `null` is what a client sends that has none.
    pub python_path: &'static str,
    /// The name under which a course's library is sent, a zip that holds `course_lib.py`.
    pub file: Option<&'static str>,
}

impl Asked {
    /// With these globals alone, as a client without a library asks.
    #[must_use]
    pub const fn with_globals(globals: &'static str, code: &'static str) -> Self {
        Self {
            code,
            globals,
            python_path: "null",
            file: None,
        }
    }

    /// With these globals alone and a course's library.
    #[must_use]
    pub const fn with_library(globals: &'static str, code: &'static str) -> Self {
        Self {
            code,
            globals,
            python_path: "[\"python_lib.zip\"]",
            file: Some("python_lib.zip"),
        }
    }
}

/// How many executions look for what was planted: enough to meet the same worker of a few again.
pub const LOOKS: usize = 4;

/// Without which a probe says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A decoy that the harness has set up, or that every host has.
    Decoy(&'static str),
    /// A limit of the service, other than 0, which is no limit (for FSIZE: nothing may be written).
    Limit(&'static str),
    /// A library in the sandbox's Python.
    Module(&'static str),
}

impl Probe {
    /// An attack that would do harm.
    #[must_use]
    pub const fn harm(name: &'static str, shows: &'static str, code: &'static str) -> Self {
        Self::new(name, shows, ProbeKind::Harm(Denial::Reported), code)
    }

    /// A call that should not be reachable, or a bound. `reason`: why one layer may do.
    #[must_use]
    pub const fn surface(
        name: &'static str,
        shows: &'static str,
        reason: &'static str,
        code: &'static str,
    ) -> Self {
        Self::new(
            name,
            shows,
            ProbeKind::Surface(Denial::Reported, reason),
            code,
        )
    }

    /// An attack that is judged beside a victim.
    #[must_use]
    pub const fn cost(
        name: &'static str,
        shows: &'static str,
        uses_up: &'static str,
        code: &'static str,
    ) -> Self {
        Self::new(name, shows, ProbeKind::Cost(uses_up), code)
    }

    /// What must run to its end with this `x`.
    #[must_use]
    pub const fn works(
        name: &'static str,
        shows: &'static str,
        x: &'static str,
        code: &'static str,
    ) -> Self {
        Self::new(name, shows, ProbeKind::Works(Expected::X(x)), code)
    }

    /// What must fail as it does with the original.
    #[must_use]
    pub const fn fails(
        name: &'static str,
        shows: &'static str,
        error: &'static str,
        code: &'static str,
    ) -> Self {
        Self::new(name, shows, ProbeKind::Works(Expected::Error(error)), code)
    }

    const fn new(
        name: &'static str,
        shows: &'static str,
        kind: ProbeKind,
        code: &'static str,
    ) -> Self {
        Self {
            name,
            shows,
            kind,
            plan: ProbePlan::Once(code),
            needs: &[],
            original: None,
        }
    }

    /// A request whose whole answer is known.
    #[must_use]
    pub const fn answers(
        name: &'static str,
        shows: &'static str,
        expected: Expected,
        asked: Asked,
    ) -> Self {
        Self::new(name, shows, ProbeKind::Works(expected), "").plan(ProbePlan::Asked(asked))
    }

    /// As the counterpart of one of the original's tests.
    #[must_use]
    pub const fn original(mut self, test: &'static str) -> Self {
        self.original = Some(test);
        self
    }

    /// With what it needs.
    #[must_use]
    pub const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// Run otherwise than once.
    #[must_use]
    pub const fn plan(mut self, plan: ProbePlan) -> Self {
        self.plan = plan;
        self
    }

    /// Denied otherwise than by a report.
    #[must_use]
    pub const fn denied_by(mut self, denial: Denial) -> Self {
        self.kind = match self.kind {
            ProbeKind::Harm(_) => ProbeKind::Harm(denial),
            ProbeKind::Surface(_, reason) => ProbeKind::Surface(denial, reason),
            other @ (ProbeKind::Cost(_) | ProbeKind::Works(_)) => other,
        };
        self
    }

    /// Whether it is an attack.
    #[must_use]
    pub const fn is_attack(&self) -> bool {
        self.kind.is_attack()
    }

    /// Whether it is judged beside a victim alone.
    #[must_use]
    pub const fn is_cost(&self) -> bool {
        matches!(self.kind, ProbeKind::Cost(_))
    }

    /// `harm`, `surface`, `cost` or `works`, for reports.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            ProbeKind::Harm(_) => "harm",
            ProbeKind::Surface(..) => "surface",
            ProbeKind::Cost(_) => "cost",
            ProbeKind::Works(_) => "works",
        }
    }
}
