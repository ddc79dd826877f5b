//! A probe: code to run, what it shows, and its right outcome.

/// Probes of one subject.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// One word, for reports.
    pub name: &'static str,
    /// The probes, in parts by theme. Each part is a constant of its own.
    pub parts: &'static [&'static [Probe]],
}

impl Group {
    /// All its probes.
    pub fn probes(&'static self) -> impl Iterator<Item = &'static Probe> {
        self.parts.iter().copied().flatten()
    }
}

/// Code to run, and its right outcome. The code does no harm, even if it succeeds and should not.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// `deny_…`, `allow_…` or `support_…`.
    pub name: &'static str,
    /// One sentence: what the probe shows if it passes.
    pub shows: &'static str,
    /// The right outcome, and why.
    pub kind: ProbeKind,
    /// How its code is run.
    pub plan: ProbePlan,
    /// What the probe needs to show anything.
    pub needs: &'static [Need],
    /// The test of the original of which this probe is the counterpart (`original.rs`).
    pub original: Option<&'static str>,
}

/// The right outcome of a probe.
#[derive(Debug, Clone, Copy)]
pub enum ProbeKind {
    /// An attack that does harm if it succeeds (data read, a file changed, a process touched, code
    /// run, a packet sent): two layers must stop it.
    Harm(Denial),
    /// A call that should not be reachable, or a bound. One layer is enough, for this reason.
    Surface(Denial, &'static str),
    /// An attack on what all runs of the machine share. Its own answer does not show its success,
    /// so it is judged only beside a victim (`victim/mod.rs`). The text says what it uses up.
    Cost(&'static str),
    /// Code that must work.
    Works(Expected),
}

impl ProbeKind {
    /// Whether it is an attack.
    #[must_use]
    pub const fn is_attack(&self) -> bool {
        !matches!(self, Self::Works(_))
    }
}

/// How to tell a denied attack from one that succeeded. An attack with another end is broken.
#[derive(Debug, Clone, Copy)]
pub enum Denial {
    /// The code sets `x` to what `outcome` of the prelude returned.
    Reported,
    /// The run is ended with one of these statuses before its code can report.
    Ended(&'static [i32]),
    /// The answer has at most so many bytes.
    AnswerBytesMax(usize),
}

/// The right end of code that must work.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// It runs to its end and the global `x` is this JSON.
    X(&'static str),
    /// It fails with this in its error.
    Error(&'static str),
    /// The whole answer: exactly these globals, and exactly this error.
    Answer {
        /// All globals.
        globals: &'static str,
        /// The error, with `NN` for each number of a line; `None` if the run must end well.
        emsg: Option<&'static str>,
    },
    /// The request is refused, with this status of HTTP and this `error` of the body.
    Refused(u16, &'static str),
}

/// How the code of a probe is run.
#[derive(Debug, Clone, Copy)]
pub enum ProbePlan {
    /// One execution.
    Once(&'static str),
    /// One execution plants something, and the next ones look for it. They get `kept` of the first
    /// one's globals.
    Planted {
        /// The code that plants.
        plant: &'static str,
        /// The code that looks, in each of `LOOKS` executions.
        look: &'static str,
    },
    /// One execution leaves something, which must be gone before the last of the next ones. It is
    /// removed after the answer, so the first of them may still find it.
    Left {
        /// The code that leaves something.
        plant: &'static str,
        /// The code that looks, in each of `LOOKS` executions. It waits for a while itself.
        look: &'static str,
    },
    /// The attack runs while the victim runs.
    Beside {
        /// Code that runs for a second at most.
        victim: &'static str,
        /// Code that looks for the victim.
        attack: &'static str,
    },
    /// One execution of a request that is given completely.
    Asked(Asked),
    /// One execution whose globals are so many integers, times `scale`, and a deep list.
    Loaded {
        /// The number of integers.
        integers: u32,
        /// The code to run.
        code: &'static str,
    },
}

/// A request that sets what the runner sets for other probes.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The code to run.
    pub code: &'static str,
    /// All its globals, an object as JSON. An empty text stands for those of every probe.
    pub globals: &'static str,
    /// `python_path` as JSON. A client without a path sends `null`.
    pub python_path: &'static str,
    /// The name under which a course library is sent, a zip file that holds `course_lib.py`.
    pub file: Option<&'static str>,
}

impl Asked {
    /// Only these globals, as a client without a library asks.
    #[must_use]
    pub const fn with_globals(globals: &'static str, code: &'static str) -> Self {
        Self {
            code,
            globals,
            python_path: "null",
            file: None,
        }
    }

    /// Only these globals, and a course library.
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

/// How many executions look for a plant: enough to meet the same worker again, if there are few.
pub const LOOKS: usize = 4;

/// What a probe needs to show anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A decoy that `decoys` has set up, or that every host has.
    Decoy(&'static str),
    /// A limit of the service that is not 0. 0 is no limit (for FSIZE: nothing may be written).
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

    /// A call that should not be reachable, or a bound. `reason`: why one layer is enough.
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

    /// An attack that is judged only beside a victim.
    #[must_use]
    pub const fn cost(
        name: &'static str,
        shows: &'static str,
        uses_up: &'static str,
        code: &'static str,
    ) -> Self {
        Self::new(name, shows, ProbeKind::Cost(uses_up), code)
    }

    /// Code that must run to its end with this `x`.
    #[must_use]
    pub const fn works(
        name: &'static str,
        shows: &'static str,
        x: &'static str,
        code: &'static str,
    ) -> Self {
        Self::new(name, shows, ProbeKind::Works(Expected::X(x)), code)
    }

    /// Code that must fail as it fails with the original.
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

    /// The probe is the counterpart of this test of the original.
    #[must_use]
    pub const fn original(mut self, test: &'static str) -> Self {
        self.original = Some(test);
        self
    }

    /// The probe needs these.
    #[must_use]
    pub const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// The probe is not run once, but by this plan.
    #[must_use]
    pub const fn plan(mut self, plan: ProbePlan) -> Self {
        self.plan = plan;
        self
    }

    /// The attack does not report its denial: it shows in this way.
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

    /// Whether it is judged only beside a victim.
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
