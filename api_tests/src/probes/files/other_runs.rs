//! Files of a run beside this one.

use crate::probe::{Probe, ProbePlan};

/// Code that waits to be found, for less than a second.
const VICTIM: &str = "import time; open('tmp/secret', 'w').close(); time.sleep(0.7); x = 1";

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    Probe::harm(
        "deny_finding_other_runs",
        "A run beside this one can't be found.",
        "",
    )
    .plan(ProbePlan::Beside {
        victim: VICTIM,
        attack: "x = outcome(other_runs, FILES)",
    }),
    Probe::harm(
        "deny_reading_files_of_other_runs",
        "What a run beside this one has written can't be read.",
        "",
    )
    .plan(ProbePlan::Beside {
        victim: VICTIM,
        attack: "x = outcome(lambda: [open(tmp + '/secret').fileno() for tmp in other_runs()], FILES)",
    }),
    Probe::harm(
        "deny_writing_to_other_runs",
        "Nothing can be put where a run beside this one would find it.",
        "",
    )
    .plan(ProbePlan::Beside {
        victim: VICTIM,
        attack: "x = outcome(lambda: [os.mkdir(tmp + '/planted') or tmp for tmp in other_runs()], FILES)",
    }),
];
