//! Sockets on which a service manager listens, and which it passes on, sd_listen_fds(3).

use super::manager::Manager;
use codejail_harness::http::{self, Connection, FORM};
use codejail_harness::{Service, Setup, needs_root};
use std::fs;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;

pub fn socket() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a socket")
}

#[test]
fn a_passed_socket_is_what_the_service_listens_on_and_its_queue_stays_as_it_was() {
    let listener = socket();
    // Nobody else on the host has a queue of this length.
    let backlog = nix::sys::socket::Backlog::new(37).expect("a length");
    nix::sys::socket::listen(&listener, backlog).expect("listen");
    let service = Service::start_as(&Setup {
        passed: Some((&listener, 1)),
        ..Setup::default()
    });
    let address = listener.local_addr().expect("an address");
    assert_eq!(service.address, address);
    service.assert_works();
    let port = format!("sport = :{}", address.port());
    let sockets = Command::new("ss")
        .args(["-Hltn", &port])
        .output()
        .expect("ss");
    let sockets = String::from_utf8_lossy(&sockets.stdout).into_owned();
    let queue: Vec<&str> = sockets.split_whitespace().collect();
    assert_eq!(queue[2], "37", "{sockets}");
}

#[test]
fn who_comes_before_the_service_can_execute_waits_and_gets_an_answer() {
    let listener = socket();
    let address = listener.local_addr().expect("an address");
    let early = thread::spawn(move || {
        let body = http::form(r#"{"code": "x = 1", "globals_dict": {}}"#);
        let headers = format!("Content-Type: {FORM}\r\nContent-Length: {}\r\n", body.len());
        let head = http::head("POST", http::PATH, &headers);
        Connection::open(address)?.ask(&head, body.as_bytes())
    });
    let service = Service::launch(&Setup {
        passed: Some((&listener, 1)),
        ..Setup::default()
    });
    let answer = early.join().expect("no panic").expect("an answer");
    assert_eq!(answer.success()["x"], 1);
    service.wait_for_event("service_ready");
}

#[test]
fn what_a_manager_passes_reaches_no_other_process() {
    needs_root!();
    let (listener, manager) = (socket(), Manager::new());
    let service = Service::start_as(&Setup {
        passed: Some((&listener, 1)),
        env: &[
            ("NOTIFY_SOCKET", manager.path()),
            ("WATCHDOG_USEC", "30000000"),
            ("LISTEN_FDNAMES", "codejail.socket"),
        ],
        ..Setup::default()
    });
    let seen = "import os; x = [n for n in os.environ if n.startswith(('NOTIFY_', 'LISTEN_', 'WATCHDOG_'))]";
    assert_eq!(service.value_of_x(seen), serde_json::json!([]));
    let inode = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).expect("a link");
    let has_it = |pid: i32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
        let mut links = descriptors
            .flatten()
            .map(|entry| fs::read_link(entry.path()));
        links.any(|link| link.is_ok_and(|link| link == inode))
    };
    assert!(has_it(service.pid()));
    let mut others = service.workers();
    others.push(service.spawner());
    for process in others {
        let environment = fs::read(format!("/proc/{}/environ", process.pid)).expect("environ");
        let environment = String::from_utf8_lossy(&environment);
        for variable in codejail::service_manager::VARIABLES {
            assert!(
                !environment.contains(variable),
                "{process:?}: {environment}"
            );
        }
        assert!(!has_it(process.pid), "{process:?}");
    }
}

#[test]
fn variables_that_are_meant_for_another_process_pass_nothing() {
    let service = Service::start_as(&Setup {
        env: &[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")],
        ..Setup::default()
    });
    service.assert_works();
}

#[test]
fn sockets_that_nothing_is_for_stop_the_start() {
    let listener = socket();
    for (count, names, part) in [
        (
            2,
            "one:two",
            r#"the service manager passes "one" and "two""#,
        ),
        (
            1,
            "metrics",
            "a socket for metrics, and no address is configured",
        ),
    ] {
        let (status, log) = Service::fail_to_start_as(&Setup {
            passed: Some((&listener, count)),
            env: &[("LISTEN_FDNAMES", names)],
            ..Setup::default()
        });
        assert_eq!(status, Some(78), "{log}");
        assert!(log.contains(part), "{log}");
    }
    // A descriptor that is no socket listening for TCP: here 3 is the directory of the service.
    let (status, log) = Service::fail_to_start_as(&Setup {
        starter: &[
            "sh",
            "-c",
            "exec 3</; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"",
        ],
        ..Setup::default()
    });
    assert_eq!(status, Some(78), "{log}");
    assert!(
        log.contains("the socket \"unknown\" that the service manager passes"),
        "{log}"
    );
}

#[test]
fn a_socket_of_that_name_takes_the_place_of_the_address_of_metrics() {
    let listener = socket();
    let service = Service::start_as(&Setup {
        overrides: "[metrics]\nbind = '192.0.2.1:1'",
        passed: Some((&listener, 2)),
        env: &[("LISTEN_FDNAMES", "codejail.socket:metrics")],
        ..Setup::default()
    });
    let address = listener.local_addr().expect("an address").to_string();
    service.wait_for_event_with("metrics_listening", &address);
    assert_eq!(service.get("/metrics").status, 200);
}
