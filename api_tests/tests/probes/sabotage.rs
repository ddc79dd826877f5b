//! Every attack against services with one layer left out, and with all layers but one left out.
//! This shows which layer stops which attack. `make sabotage` runs everything and writes
//! docs/sabotage.md. Otherwise the short form runs: one layer left out at a time.
//!
//! If the uid layer is left out, the service runs as a user without rights, never as root.

use super::runs::run_all;
use super::services::{LIMITS, Probed};
use codejail_api_tests::outcome::Outcome;
use codejail_api_tests::probe::ProbeKind;
use codejail_api_tests::run::Finished;
use codejail_harness::python::sandbox_python;
use codejail_harness::root::say;
use codejail_harness::{machine, needs_root};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;

/// The layers that can be left out here and that this kernel gives. A cgroup bounds what all runs
/// of a worker use together, which no probe of one run can see. AppArmor needs a kernel that has
/// it.
const LAYERS: [&str; 5] = ["namespaces", "mounts", "landlock", "seccomp", "rlimits"];
const UID: &str = "uid";

/// The outcome of each attack.
type Outcomes = BTreeMap<&'static str, Outcome>;

/// Runs every attack against a service without these layers.
fn attack(off: &[&str]) -> (Vec<Finished>, Outcomes) {
    if off.contains(&"seccomp") {
        remove_keys_left_on_the_host();
    }
    let service = Probed::start(off.contains(&UID), off);
    say(&format!("--- without {}\n", off.join(", ")));
    let mut all = run_all(&service.target(), &service.decoys, LIMITS).0;
    if off.contains(&"namespaces") {
        remove_objects_left_on_the_host();
    }
    all.retain(|finished| finished.probe.is_attack());
    let outcomes = all
        .iter()
        .map(|finished| (finished.probe.name, finished.outcome.clone()))
        .collect();
    (all, outcomes)
}

/// The System V objects and the queue that `plants.rs` leaves where nothing prevents it. Where each
/// run has a user of its own, the next run can't remove them.
fn remove_objects_left_on_the_host() {
    let script = "import ctypes\nlibc, KEY = ctypes.CDLL(None), 0x70726F62\n\
                  libc.shmctl(libc.shmget(KEY, 0, 0), 0, None)\n\
                  libc.semctl(libc.semget(KEY, 0, 0), 0, 0)\n\
                  libc.msgctl(libc.msgget(KEY, 0), 0, None)\n\
                  libc.mq_unlink(b'/codejail-probe')";
    let removed = Command::new(sandbox_python()).args(["-c", script]).status();
    assert!(removed.expect("the sandbox's Python").success());
}

/// The keys that `plants.rs` left in keyrings of users where nothing prevented it. A keyring stays
/// after its user's processes, and a service of an earlier test may have had the same uids.
fn remove_keys_left_on_the_host() {
    let script = "import ctypes, os\n\
                  KEYCTL = {'x86_64': 250, 'aarch64': 219}[os.uname().machine]\n\
                  CLEAR, OF_THE_USER = 7, -4\n\
                  for line in open('/proc/key-users'):\n    \
                      uid = int(line.partition(':')[0])\n    \
                      if 350_000_000 <= uid < 360_000_000 and os.fork() == 0:\n        \
                          os.setresuid(uid, uid, uid)\n        \
                          ctypes.CDLL(None).syscall(KEYCTL, CLEAR, OF_THE_USER)\n        \
                          os._exit(0)\n\
                  try:\n    \
                      while True: os.wait()\n\
                  except ChildProcessError: pass";
    let removed = Command::new(sandbox_python()).args(["-c", script]).status();
    assert!(removed.expect("the sandbox's Python").success());
}

fn is_denied(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Denied(_))
}

/// Harm must be stopped with any one layer left out: so two layers must stop it.
fn assert_stopped_by_two(without: &str, all: &[Finished]) {
    let harm = |finished: &&Finished| matches!(finished.probe.kind, ProbeKind::Harm(_));
    let done: Vec<String> = all
        .iter()
        .filter(harm)
        .filter(|finished| !is_denied(&finished.outcome))
        .map(|finished| {
            let (name, outcome) = (finished.probe.name, &finished.outcome);
            format!("{name}: {}: {}", outcome.word(), outcome.how())
        })
        .collect();
    assert!(done.is_empty(), "without {without}:\n{}", done.join("\n"));
}

#[test]
fn harm_is_stopped_by_two_layers_and_with_none_it_is_done() {
    needs_root!();
    let _alone = machine::alone();
    let full = std::env::var_os("CODEJAIL_SABOTAGE").is_some();
    let mut matrix = Matrix::default();
    for layer in [LAYERS.as_slice(), &[UID]].concat() {
        let (all, outcomes) = attack(&[layer]);
        assert_stopped_by_two(layer, &all);
        matrix.without.insert(layer, outcomes);
    }
    let everything = [LAYERS.as_slice(), &[UID]].concat();
    let (all, outcomes) = attack(&everything);
    matrix.note(&all);
    matrix.none = outcomes;
    assert_held_by_the_process_alone(&matrix.none);
    if full {
        for layer in [LAYERS.as_slice(), &[UID]].concat() {
            let others: Vec<&str> = everything
                .iter()
                .copied()
                .filter(|other| *other != layer)
                .collect();
            matrix.alone.insert(layer, attack(&others).1);
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sabotage.md");
        fs::write(path, matrix.to_markdown()).expect("write the matrix");
    }
    say(&matrix.summary());
}

/// With every layer left out an attack succeeds, except these: they are stopped by the sandbox's
/// own process, not by a layer. `every_probe.rs` shows that each of them is an attack, since it
/// succeeds in a bare Python.
fn assert_held_by_the_process_alone(outcomes: &Outcomes) {
    let held: Vec<&str> = outcomes
        .iter()
        .filter(|(_, outcome)| !matches!(outcome, Outcome::Succeeded(_)))
        .map(|(name, _)| *name)
        .collect();
    let unexpected: Vec<String> = held
        .iter()
        .filter(|name| !BY_THE_PROCESS.contains(name))
        .map(|name| format!("{name}: {:?}", outcomes[name]))
        .collect();
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
}

/// Each run has a process of its own: it is not dumpable, it has no descriptor but its streams, an
/// environment of its own, a bounded output, and the kernel's timer ends it. Its directory is
/// removed. The Python installation belongs to root.
const BY_THE_PROCESS: &[&str] = &[
    "deny_adding_to_the_libraries",
    "deny_changing_the_python_installation",
    "deny_computing_past_the_processor_limit",
    "deny_finding_directories_of_earlier_runs",
    "deny_finding_globals_of_earlier_runs",
    "deny_finding_patterns_of_earlier_runs",
    "deny_floods_of_errors",
    "deny_floods_of_output",
    "deny_frames_below_the_code",
    "deny_huge_results",
    "deny_ignoring_signals_past_the_limit",
    "deny_inherited_descriptors",
    "deny_leaving_a_precision",
    "deny_leaving_a_recursion_limit",
    "deny_leaving_a_thread",
    "deny_leaving_a_umask",
    "deny_leaving_alarms",
    "deny_leaving_blocked_signals",
    "deny_leaving_builtins",
    "deny_leaving_changes_in_preloaded_libraries",
    "deny_leaving_changes_in_the_library",
    "deny_leaving_descriptors",
    "deny_leaving_exit_functions",
    "deny_leaving_files_in_tmp",
    "deny_leaving_import_hooks",
    "deny_leaving_limits",
    "deny_leaving_modules",
    "deny_leaving_paths_of_modules",
    "deny_leaving_signal_handlers",
    "deny_leaving_traces",
    "deny_leaving_variables_of_the_c_environment",
    "deny_leaving_variables_of_the_environment",
    "deny_reading_own_environment_from_proc",
    "deny_reading_the_environment_of_the_parent",
    "deny_running_on_after_the_wall_clock_limit",
    "deny_seeding_the_next_runs",
    "deny_seeding_the_next_runs_c_library",
    "deny_seeding_the_next_runs_numpy",
    "deny_speaking_over_the_services_pipes",
    "deny_the_services_environment",
    "deny_the_services_environment_through_c",
    "deny_threads_past_the_limit",
    "deny_variables_of_the_service",
    "deny_writing_kernel_settings_of_the_process",
    "deny_writing_own_memory_through_proc",
];

/// Which layer stops which attack.
#[derive(Default)]
struct Matrix {
    probes: Vec<(&'static str, &'static str, &'static str, &'static str)>,
    /// With this layer left out.
    without: BTreeMap<&'static str, Outcomes>,
    /// With all layers but this one left out.
    alone: BTreeMap<&'static str, Outcomes>,
    /// With all layers left out.
    none: Outcomes,
}

impl Matrix {
    fn note(&mut self, all: &[Finished]) {
        self.probes = all
            .iter()
            .map(|finished| {
                let reason = match finished.probe.kind {
                    ProbeKind::Surface(_, reason) => reason,
                    ProbeKind::Harm(_) | ProbeKind::Cost(_) | ProbeKind::Works(_) => "",
                };
                let kind = finished.probe.kind_name();
                (finished.group, finished.probe.name, kind, reason)
            })
            .collect();
    }

    /// The attacks that succeed if this layer is left out.
    fn resting_on(&self, name: &str) -> Vec<&'static str> {
        let lets_through = |outcomes: &&Outcomes| {
            outcomes
                .get(name)
                .is_some_and(|outcome| matches!(outcome, Outcome::Succeeded(_)))
        };
        self.without
            .iter()
            .filter(|(_, outcomes)| lets_through(outcomes))
            .map(|(layer, _)| *layer)
            .collect()
    }

    fn summary(&self) -> String {
        let mut text = "--- attacks that a single layer's absence lets through:\n".to_owned();
        for (_, name, kind, reason) in &self.probes {
            let layers = self.resting_on(name);
            if !layers.is_empty() {
                let _ = writeln!(text, "{name} ({kind}): {}; {reason}", layers.join(", "));
            }
        }
        text
    }

    fn to_markdown(&self) -> String {
        let columns = [LAYERS.as_slice(), &[UID]].concat();
        let mut text = format!(
            "# Which layer stops which attack\n\n\
             `make sabotage` writes this file. It runs every attack of `codejail-api-tests` against services of a \
             build in\nwhich layers can be left out.\n\n\
             - **x**: this layer stops the attack alone, with all other layers left out.\n\
             - *process*: the attack is stopped with every layer left out. Either it is stopped by what a sandbox is: \
             a process\n  of its own for one run, not dumpable, without descriptors and environment of others, ended \
             by a timer. Or it\n  is stopped because root owns Python's files.\n\
             - *rests on*: without this layer the attack succeeds, although all other layers are there. Harm never \
             rests on one\n  layer.\n\n\
             | attack | kind | {} | process | rests on |\n|---|---|{}---|---|\n",
            columns.join(" | "),
            "---|".repeat(columns.len())
        );
        for (_, name, kind, _) in &self.probes {
            let mark = |outcomes: Option<&Outcomes>| {
                let denied = outcomes.and_then(|outcomes| outcomes.get(name));
                if denied.is_some_and(is_denied) {
                    "x"
                } else {
                    ""
                }
            };
            let by_process = is_denied(&self.none[name]);
            let cells: Vec<&str> = columns
                .iter()
                // An attack that the process itself stops says nothing of a layer.
                .map(|layer| mark(self.alone.get(layer).filter(|_| !by_process)))
                .collect();
            let _ = writeln!(
                text,
                "| `{name}` | {kind} | {} | {} | {} |",
                cells.join(" | "),
                if by_process { "x" } else { "" },
                self.resting_on(name).join(", ")
            );
        }
        let _ = writeln!(text, "\n## Why one layer may do\n");
        for (_, name, _, reason) in &self.probes {
            if !self.resting_on(name).is_empty() {
                let _ = writeln!(text, "- `{name}`: {reason}");
            }
        }
        text
    }
}
