//! Four busy clients notice nothing of a restart by a shared socket: a second service takes the
//! socket of the first one, and when the second is up the first one drains. They also notice
//! nothing of what a running service is told.

use super::busy_clients::notice_nothing_while;
use super::passed_sockets::socket;
use codejail_harness::{Service, Setup, machine};
use nix::sys::signal::Signal::{SIGHUP, SIGTERM, SIGTTIN, SIGTTOU};
use std::net::TcpListener;
use std::time::Duration;

/// How many times one service takes the place of another.
const HANDOVERS: usize = 4;

/// How many answers come between two events.
const ANSWERS: usize = 50;

fn start(listener: &TcpListener) -> Service {
    let service = Service::launch(&Setup {
        overrides: "workers = 2",
        passed: Some((listener, 1)),
        ..Setup::default()
    });
    service.wait_for_event("service_ready");
    service
}

#[test]
fn four_busy_clients_notice_nothing_of_services_that_take_each_other_s_place() {
    let _alone = machine::alone();
    let listener = socket();
    let address = listener.local_addr().expect("an address");
    let mut serving = start(&listener);
    // As long as one may wait for a sandbox (the client's own default; the service's here is 30 s).
    notice_nothing_while(address, Duration::from_secs(3), |busy| {
        for _ in 0..HANDOVERS {
            let next = start(&listener);
            serving.signal(SIGTERM);
            let status = serving.wait();
            assert_eq!(status.code(), Some(0), "{}", serving.log());
            // A client that asks from now on asks the next service.
            busy.wait_for_answers(ANSWERS);
            serving = next;
        }
    });
}

#[test]
fn four_busy_clients_notice_nothing_of_reloads_and_of_workers_that_come_and_go() {
    let _alone = machine::alone();
    // With a shorter wait, one refusal would fail a client.
    let service = Service::start("workers = 2\nqueue_wait_max_ms = 3000");
    service.wait_for_workers(2);
    notice_nothing_while(service.address, Duration::from_secs(3), |busy| {
        service.reconfigure("[limits]\nCPU = 7");
        service.tell(SIGHUP);
        service.wait_for_events("worker_retired", 2);
        busy.wait_for_answers(ANSWERS);

        service.reconfigure("[limits]\nCPU = -1");
        service.tell(SIGHUP);
        service.wait_for_events("reload_failed", 1);
        busy.wait_for_answers(ANSWERS);

        service.reconfigure("limits.CPU = 7\n[python]\npreload = ['six', 'statistics']");
        service.tell(SIGHUP);
        service.wait_for_events("worker_retired", 4);
        busy.wait_for_answers(ANSWERS);

        service.tell(SIGTTIN);
        service.wait_for_workers(3);
        busy.wait_for_answers(ANSWERS);
        service.tell(SIGTTOU);
        service.wait_for_workers(2);
        busy.wait_for_answers(ANSWERS);

        // Each worker is replaced again and again.
        let retired = service.events("worker_retired").len();
        service.reconfigure("max_requests = 20\nmax_requests_jitter = 0");
        service.tell(SIGHUP);
        service.wait_for_events("worker_retired", retired + 6);
    });
}
