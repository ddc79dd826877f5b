//! A thousand executions of all kinds over four connections, while workers are recycled. Each gets
//! its own answer and nothing else. Afterwards the service is what it was before.

use codejail_harness::http::Connection;
use codejail_harness::machine;
use codejail_harness::root::is_root;
use codejail_harness::wait::wait_for;
use codejail_harness::{Run, Service};
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;

const EXECUTIONS: usize = 1000;
const CONNECTIONS: usize = 4;

/// The time until it is idle again: replaced workers must have ended, and their successors must be
/// warm.
const IDLE_MAX: Duration = Duration::from_secs(60);

#[test]
fn a_thousand_mixed_executions_get_their_own_answers_and_leave_nothing() {
    let _alone = machine::alone();
    let service = Service::start("workers = 2\nmax_requests = 150\nmax_requests_jitter = 20");
    // The first answer makes things that stay (a thread, a timer). They belong to the state before.
    service.execute("x = 1").success();
    let before = wait_for("an idle state", IDLE_MAX, || idle_state(&service));
    let first_workers = service.workers();

    let answers: usize = thread::scope(|scope| {
        let clients = (0..CONNECTIONS).map(|client| {
            let service = &service;
            scope.spawn(move || {
                let ids = (0..EXECUTIONS).skip(client).step_by(CONNECTIONS);
                // Half of the clients keep a connection. The others open one for each call, as the
                // LMS does.
                let mut connection = (client % 2 == 0).then(|| service.connect());
                ids.map(|id| execute_and_check(service.address, connection.as_mut(), id))
                    .count()
            })
        });
        let clients: Vec<_> = clients.collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    assert_eq!(answers, EXECUTIONS);

    let workers = service.workers();
    assert!(
        workers.iter().all(|worker| !first_workers.contains(worker)),
        "none was recycled"
    );
    let mut seen = None;
    let after = || {
        seen = idle_state(&service);
        (seen.as_ref() == Some(&before)).then_some(())
    };
    let returned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("the same idle state", IDLE_MAX, after);
    }));
    assert!(returned.is_ok(), "before: {before:#?}\nafter: {seen:#?}");
}

/// The descriptors of each process, by its place in the family; and the number of directories.
#[derive(Debug, PartialEq, Eq)]
struct State {
    supervisor: Option<usize>,
    spawner: Option<usize>,
    /// For each worker: its descriptors, and those of its sandboxes.
    workers: Vec<(Option<usize>, Vec<Option<usize>>)>,
    directories: usize,
}

/// `None` while something is on its way. Each worker must have two sandboxes ready, each with its
/// directory.
fn idle_state(service: &Service) -> Option<State> {
    let family = service.processes();
    let workers: Vec<_> = service.workers().iter().map(|worker| worker.pid).collect();
    let sandboxes = |worker| {
        let of_worker = family
            .iter()
            .filter(move |process| process.parent == worker);
        of_worker
            .map(codejail_harness::processes::Process::descriptors)
            .collect::<Vec<_>>()
    };
    let state = State {
        supervisor: family.first()?.descriptors(),
        spawner: service.spawner().descriptors(),
        workers: workers
            .iter()
            .map(|pid| {
                let worker = family.iter().find(|process| process.pid == *pid);
                (
                    worker.and_then(|worker| worker.descriptors()),
                    sandboxes(*pid),
                )
            })
            .collect(),
        directories: service.scratch_directories().len(),
    };
    let complete = state
        .workers
        .iter()
        .all(|(_, sandboxes)| sandboxes.len() == 2 && sandboxes.iter().all(is_ready));
    // One for each worker and each sandbox, and the one for files that wait to be removed.
    let quiet = state.workers.len() == 2 && state.directories == 2 + 4 + 1;
    (complete && quiet && family.len() == 2 + 2 + 4).then_some(state)
}

/// A sandbox that is ready has six descriptors: three streams, status pipe, library, and the
/// ruleset of the second stage. A sandbox that is not ready yet has more, or does not let us look.
/// Only root may look at all.
fn is_ready(descriptors: &Option<usize>) -> bool {
    *descriptors == is_root().then_some(6)
}

fn execute_and_check(
    address: std::net::SocketAddr,
    connection: Option<&mut Connection>,
    id: usize,
) {
    let (run, expected) = execution(id);
    let run = run.globals(json!({ "id": id }).to_string());
    let answer = match connection {
        Some(connection) => run.ask_over(connection),
        None => run.ask(address),
    };
    match expected {
        Ok(globals) => assert_eq!(answer.success(), globals, "{id}"),
        Err(message) => {
            assert_eq!(answer.globals(), json!({ "id": id }), "{id}");
            let found = answer.emsg();
            assert!(found.contains(&message), "{id}: {message}: {found}");
        }
    }
}

/// What to run under this number, and what must come of it: globals, or a part of the message.
fn execution(id: usize) -> (Run, Result<Value, String>) {
    let ended = |status: i32| {
        let text = "Couldn't execute jailed code: stdout: b'', stderr: b'' with status code: ";
        format!("{text}{status}")
    };
    match id % 10 {
        1 | 5 => (
            Run::new("raise ValueError(f'number {id}.')"),
            Err(format!("ValueError: number {id}.\\n")),
        ),
        3 => (
            Run::new("while True: pass").context("short"),
            Err(ended(-9)),
        ),
        7 => {
            let status = i32::try_from(id % 200 + 1).unwrap_or(0);
            let code = "import os; os._exit(id % 200 + 1)";
            (Run::new(code), Err(ended(status)))
        }
        9 => (
            Run::new("import ctypes; ctypes.string_at(0)"),
            Err(ended(-11)),
        ),
        _ => (
            Run::new("import os; os.mkdir(f'tmp/{id}'); x = 7 * id; y = os.listdir('tmp')"),
            Ok(json!({ "id": id, "x": 7 * id, "y": [id.to_string()] })),
        ),
    }
}
