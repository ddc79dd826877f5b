//! Every probe against the real service with all layers of this host; and every attack where
//! nothing confines it.

use super::runs::{described, is_skipped, run_all, run_scaled, run_these};
use super::services::{LIMITS, Probed};
use codejail_api_tests::bare::Bare;
use codejail_api_tests::decoys::Decoys;
use codejail_api_tests::outcome::Outcome;
use codejail_api_tests::probe::Probe;
use codejail_api_tests::run::{self, Finished};
use codejail_harness::dir::{TestDir, set_mode};
use codejail_harness::python::sandbox_python;
use codejail_harness::root::{is_root, say};
use codejail_harness::uids::UidRange;
use codejail_harness::{machine, needs_root};
use std::fmt::Write;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn a_service_started_as_root_passes_every_probe() {
    needs_root!();
    passes_every_probe("as root", false);
}

#[test]
fn a_service_started_by_another_user_passes_every_probe() {
    passes_every_probe("by another user", true);
}

fn passes_every_probe(how: &str, unprivileged: bool) {
    // Limits in seconds that hold also on a machine with few cores.
    let _alone = machine::alone();
    let service = Probed::start(unprivileged, &[]);
    let all = run_all(&service.target(), &service.decoys, LIMITS);
    let mut text = format!("--- a service started {how}: {}\n", all.summary(as_it_must));
    for layer in &service.layers {
        let _ = writeln!(text, "{layer}");
    }
    say(&text);
    let failed = all.unlike(as_it_must);
    assert!(
        !service.layers.is_empty(),
        "codejail check names the layers"
    );
    assert!(failed.is_empty(), "{}", described(&failed));
}

fn as_it_must(probe: &Probe, outcome: &Outcome) -> bool {
    outcome.passes(probe.kind)
}

#[test]
fn every_attack_succeeds_where_nothing_confines_it() {
    // Short limits: nothing enforces them here, and an attack lasts as long as they say.
    const SHORT: &[(&str, u64)] = &[
        ("CPU", 1),
        ("REALTIME", 1),
        ("VMEM", 1 << 20),
        ("FSIZE", 4096),
        ("NPROC", 15),
        ("SPACE", 100_000),
        ("INODES", 100),
    ];
    let _alone = machine::alone();
    let (user, dir) = (UidRange::take(), TestDir::new("bare"));
    let uid = is_root().then(|| user.user());
    fs::create_dir(dir.join("scratch")).expect("mkdir");
    set_mode(&dir.join("scratch"), 0o1777).expect("chmod");
    let decoys = Decoys::create(&dir.join("decoys"), uid).expect("decoys");
    let python = own_python(&dir.join("scratch"), uid);
    let runs = dir.join("runs");
    fs::create_dir(&runs).expect("mkdir");
    let bare = Bare::new(python, uid, &runs).expect("not root");
    let mut attacks = run::choose("");
    attacks.retain(|(_, probe)| probe.is_attack());
    let all = run_these(&bare, &attacks, &decoys, SHORT);
    costs_are_made(&bare, &decoys, SHORT);
    let left: Vec<_> = fs::read_dir(&runs)
        .expect("list")
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(
        left,
        [runs.join("runner.py")],
        "each run's directory is removed"
    );
    let failed = all.unlike(|_, outcome| matches!(outcome, Outcome::Succeeded(_)));
    assert!(failed.is_empty(), "{}", described(&failed));
    // No attack is skipped here, since there are decoys, limits and libraries.
    let skipped: Vec<&Finished> = all.0.iter().filter(|f| is_skipped(f)).collect();
    assert!(skipped.is_empty(), "{}", described(&skipped));
}

/// An attack that is judged beside a victim must do what it is meant to do: otherwise its judgement
/// shows nothing. Here its numbers are a hundredth, so that it costs this machine nothing.
fn costs_are_made(bare: &Bare, decoys: &Decoys, limits: &[(&str, u64)]) {
    let mut costs = run::choose_with_costs("");
    costs.retain(|(_, probe)| probe.is_cost());
    let all = run_scaled(bare, &costs, decoys, limits, 0.01);
    let failed = all.unlike(|_, outcome| matches!(outcome, Outcome::Succeeded(_)));
    let none = !all.0.iter().any(is_skipped) && all.0.len() > 10;
    assert!(failed.is_empty() && none, "{}", described(&failed));
}

#[test]
fn attacks_are_never_run_bare_as_root() {
    let dir = std::env::temp_dir();
    assert!(Bare::new(PathBuf::from("python"), Some(0), &dir).is_err());
    if is_root() {
        assert!(Bare::new(PathBuf::from("python"), None, &dir).is_err());
    }
}

/// A Python with the sandbox's libraries that belongs to the user, so that only layers could
/// protect it.
fn own_python(dir: &Path, uid: Option<u32>) -> PathBuf {
    let venv = dir.join("venv");
    let as_user = |arguments: &[&str], python: &Path| {
        let mut command = Command::new(python);
        command.args(arguments).arg(&venv);
        if let Some(uid) = uid {
            command.gid(uid).uid(uid);
        }
        let output = command.output().expect("the sandbox's Python");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let python = sandbox_python();
    as_user(&["-m", "venv", "--without-pip", "--copies"], &python);
    let share = "import sysconfig, sys\n\
                 theirs = sysconfig.get_paths()['purelib']\n\
                 own = theirs.replace(sys.prefix, sys.argv[1])\n\
                 open(own + '/shared.pth', 'w').write(theirs)";
    as_user(&["-c", share], &python);
    venv.join("bin/python")
}
