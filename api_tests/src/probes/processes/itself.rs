//! The run's own process: attributes that it could change.

use crate::probe::Probe;

/// Why it is enough that one layer guards what concerns the run itself.
const ITSELF: &str = "it concerns only the run's own process";

/// The probes of this file.
pub const PROBES: &[Probe] = &[
    Probe::surface(
        "deny_becoming_traceable",
        "The process can't let another one trace it.",
        ITSELF,
        "PR_SET_PTRACER, ANY = 0x59616D61, -1\n\
         x = outcome(lambda: call('prctl', PR_SET_PTRACER, ANY, 0, 0, 0), ('EACCES',), ('EINVAL',))",
    ),
    Probe::surface(
        "deny_becoming_dumpable",
        "The process can't make its memory readable for its user.",
        ITSELF,
        "PR_SET_DUMPABLE = 4\nx = outcome(lambda: call('prctl', PR_SET_DUMPABLE, 1, 0, 0, 0))",
    ),
    Probe::surface(
        "deny_outliving_the_parent",
        "The process can't take back that it dies with its parent.",
        "the PID namespace ends it with its worker too",
        "PR_SET_PDEATHSIG = 1\nx = outcome(lambda: call('prctl', PR_SET_PDEATHSIG, 0, 0, 0, 0))",
    ),
    Probe::surface(
        "deny_adopting_processes",
        "Orphans of others can't be adopted.",
        ITSELF,
        "PR_SET_CHILD_SUBREAPER = 36\n\
         x = outcome(lambda: call('prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))",
    ),
    Probe::surface(
        "deny_keeping_capabilities",
        "The process can't keep its capabilities over a change of user.",
        "a run has no capabilities to keep",
        "PR_SET_KEEPCAPS = 8\nx = outcome(lambda: call('prctl', PR_SET_KEEPCAPS, 1, 0, 0, 0))",
    ),
    Probe::surface(
        "deny_changing_the_user",
        "No call that changes users gets through, not even to oneself.",
        "there is no capability that could change them",
        "uid = os.getuid()\nx = outcome(lambda: call('setresuid', uid, uid, uid))",
    ),
    Probe::surface(
        "deny_changing_the_file_systems_user",
        "The call that changes the user for opening files does not get through.",
        "there is no capability that could change it",
        "x = outcome(lambda: call('setfsuid', os.getuid()))",
    ),
    Probe::surface(
        "deny_changing_groups",
        "The call that changes supplementary groups does not get through.",
        "there is no capability that could change them",
        "x = outcome(lambda: call('setgroups', 0, None), ('EACCES',), ('EPERM',))",
    ),
    Probe::surface(
        "deny_changing_capabilities",
        "The call that changes capabilities does not get through.",
        "a run has no capabilities and can't gain any",
        "x = outcome(lambda: call('capset', None, None), CALLS, ('EFAULT',))",
    ),
];
