//! Layers that the attacks of other files don't show: uids of their own, cgroups, and which layers
//! can be left out.

use super::one_layer::LAYERS;
use codejail_harness::Run;
use codejail_harness::Service;
use codejail_harness::Setup;
use codejail_harness::binary::Build;
use codejail_harness::processes::Process;
use codejail_harness::wait::END_MAX;
use codejail_harness::wait::wait_until;
use codejail_harness::{cgroups, needs_root};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What a sandbox tries on the worker that forked it.
const ON_THE_WORKER: &str = r"
import fcntl, os, resource, socket
worker = os.getppid()
def outcome(attempt, *arguments):
    try:
        attempt(*arguments)
    except OSError as error:
        return type(error).__name__
    return 'done'
x = {
    'kill': outcome(os.kill, worker, 0),
    'prlimit': outcome(resource.prlimit, worker, resource.RLIMIT_CORE, (0, 0)),
    'affinity': outcome(os.sched_setaffinity, worker, os.sched_getaffinity(0)),
    'scheduler': outcome(os.sched_setscheduler, worker, os.SCHED_BATCH, os.sched_param(0)),
    'priority': outcome(os.setpriority, os.PRIO_PROCESS, worker, 1),
    # Python takes a C int here, and a uid may be over 2^31.
    'priorities of a user': outcome(
        os.setpriority, os.PRIO_USER, (worker_uid ^ 1 << 31) - (1 << 31), 1
    ),
}
";

#[test]
fn a_uid_of_its_own_alone_keeps_a_sandbox_from_its_worker() {
    needs_root!();
    let none = LAYERS.map(|layer| format!("{layer} = 'off'")).join("\n");
    let outcomes = |unprivileged: bool| -> Value {
        let service = Service::launch(&Setup {
            overrides: &format!("[layers]\n{none}"),
            unprivileged,
            staged: true,
            build: Build::Sabotage,
            ..Setup::default()
        });
        service.wait_until_ready();
        let worker_uid = service.workers()[0].uid;
        let globals = json!({ "worker_uid": worker_uid }).to_string();
        let run = Run::new(ON_THE_WORKER).globals(globals);
        let outcomes = service.run(&run).success()["x"].take();
        // Without root the service is the same user, so the run has lowered its priority, too.
        drop(service);
        outcomes
    };
    let every = |outcome: &str| {
        let names = [
            "kill",
            "prlimit",
            "affinity",
            "scheduler",
            "priority",
            "priorities of a user",
        ];
        let all = names.map(|name| (name.to_owned(), json!(outcome)));
        Value::Object(all.into_iter().collect())
    };
    assert_eq!(outcomes(true), every("done"));
    assert_eq!(outcomes(false), every("PermissionError"));
}

/// All layers are on. Where the service is not root, sandbox and worker are one user, and seccomp
/// keeps the sandbox from the worker.
#[test]
fn a_worker_is_out_of_its_sandboxes_reach_as_root_and_as_another_user() {
    let owner = "x['owner of signals'] = outcome(fcntl.fcntl, socket.socketpair()[0], fcntl.F_SETOWN, worker)\n\
                 x['number of signals'] = outcome(fcntl.fcntl, socket.socketpair()[0], 10, 9)";
    for unprivileged in [false, true] {
        let service = Service::launch(&Setup {
            unprivileged,
            staged: true,
            ..Setup::default()
        });
        service.wait_until_healthy();
        let worker = service.workers().remove(0);
        let globals = json!({ "worker_uid": worker.uid }).to_string();
        let run = Run::new(format!("{ON_THE_WORKER}\n{owner}")).globals(globals);
        let outcomes = service.run(&run).success()["x"].take();
        let outcomes = outcomes.as_object().expect("outcomes");
        assert_eq!(outcomes.len(), 8);
        let denied = |(_, outcome): (&String, &Value)| *outcome == json!("PermissionError");
        assert!(outcomes.iter().all(denied), "{outcomes:?}");
        assert_eq!(service.workers(), [worker]);
    }
}

#[test]
fn a_worker_and_its_sandboxes_are_in_a_cgroup_of_their_own_where_that_is_to_be_had() {
    let service = Service::start("");
    let health = service.get("/health/").json();
    let cgroup = health["layers"].as_array().expect("layers");
    let cgroup = cgroup.iter().find(|layer| layer["layer"] == "cgroup");
    if cgroup.expect("a cgroup layer")["on"] != json!(true) {
        println!("no cgroup here: {health}");
        return;
    }
    service.wait_for_processes(2 + 1 + 2);
    let family = service.processes();
    let of = |process: &Process| cgroups::of(process.pid).expect("cgroup v2");
    let groups: Vec<PathBuf> = family.iter().map(of).collect();
    // The order is: supervisor, spawner, worker, two sandboxes.
    assert!(groups[2].ends_with("worker-0"), "{groups:?}");
    assert!(
        groups[3..].iter().all(|group| *group == groups[2]),
        "{groups:?}"
    );
    assert!(
        groups[..2].iter().all(|group| *group != groups[2]),
        "{groups:?}"
    );
    let directory = groups[2].as_path();
    assert!(directory.is_dir(), "{directory:?}");
    drop(service);
    wait_until("its removal", END_MAX, || !directory.exists());
}

#[test]
fn an_ordinary_build_leaves_no_layer_out_that_every_host_has() {
    for layer in ["seccomp", "rlimits"] {
        let (status, said) = Service::fail_to_start(&format!("[layers]\n{layer} = 'off'"));
        assert_eq!(status, Some(78), "{said}");
        assert!(
            said.contains(&format!("layers.{layer} = \"off\"")),
            "{said}"
        );
        assert!(said.contains("must be require or auto"), "{said}");
    }
}
