//! What a service tells its manager, sd_notify(3). A socket of the test takes the manager's place.

use codejail_harness::dir::{TestDir, set_mode};
use codejail_harness::wait::{START_MAX, try_wait_for};
use codejail_harness::{Service, Setup};
use nix::sys::signal::Signal::{SIGCONT, SIGHUP, SIGSTOP, SIGTERM};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// A manager, which hears what the service says.
pub struct Manager {
    socket: UnixDatagram,
    path: String,
    _dir: TestDir,
}

impl Manager {
    pub fn new() -> Self {
        let dir = TestDir::new("manager");
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        // systemd's socket is also open to everybody.
        set_mode(&path, 0o777).expect("chmod");
        Self {
            socket,
            path: path.to_str().expect("a name").to_owned(),
            _dir: dir,
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// The next message, or none if none comes within `longest`.
    fn hear(&self, longest: Duration) -> Option<String> {
        let longest = longest.max(Duration::from_millis(1));
        self.socket
            .set_read_timeout(Some(longest))
            .expect("a timeout");
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8(message[..length].to_vec()).expect("text"))
    }

    /// Waits for a message that begins with `start`. Returns all messages until then, this one
    /// included.
    pub fn wait_for(&self, start: &str) -> Vec<String> {
        let mut heard = Vec::new();
        let found = try_wait_for(start, START_MAX, || {
            let message = self.hear(Duration::from_secs(1));
            let found = message
                .as_ref()
                .is_some_and(|message| message.starts_with(start));
            heard.extend(message);
            Ok(found.then_some(()))
        });
        found.unwrap_or_else(|error| panic!("{error}; heard: {heard:#?}"));
        heard
    }

    /// Whether no sign of life comes for so long.
    fn hears_no_sign_of_life(&self, longest: Duration) -> bool {
        let end = Instant::now() + longest;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            if self
                .hear(left)
                .is_some_and(|message| message == "WATCHDOG=1")
            {
                return false;
            }
        }
    }
}

fn start(manager: &Manager, overrides: &str, watchdog_usec: Option<&str>) -> Service {
    let mut env = vec![("NOTIFY_SOCKET", manager.path())];
    env.extend(watchdog_usec.map(|usec| ("WATCHDOG_USEC", usec)));
    Service::launch(&Setup {
        overrides,
        env: &env,
        ..Setup::default()
    })
}

/// The status that a manager has when it hears the last of these messages.
fn status_before(heard: &[String]) -> &str {
    let mut statuses = heard.iter().rev();
    let last = statuses.find_map(|message| message.strip_prefix("STATUS="));
    last.unwrap_or_else(|| panic!("no status: {heard:?}"))
}

#[test]
fn a_manager_is_told_of_the_start_a_reload_and_the_end() {
    let manager = Manager::new();
    let mut service = start(&manager, "", None);
    assert_eq!(
        status_before(&manager.wait_for("READY=1")),
        "1 worker serves"
    );
    service.assert_works();

    service.tell(SIGHUP);
    let reloading = manager.wait_for("RELOADING=1").pop().expect("a message");
    let since = reloading
        .split_once("\nMONOTONIC_USEC=")
        .expect("the time")
        .1;
    assert!(
        since.parse::<u64>().is_ok_and(|usec| usec > 0),
        "{reloading}"
    );
    manager.wait_for("READY=1");
    service.wait_for_event("configuration_reloaded");

    // A wrong configuration changes nothing: the service is up as before.
    service.reconfigure("workers = 'many'");
    service.tell(SIGHUP);
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    service.wait_for_event("reload_failed");

    service.signal(SIGTERM);
    let heard = manager.wait_for("STOPPING=1");
    assert!(
        !heard.iter().any(|message| message == "READY=1"),
        "{heard:?}"
    );
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn a_service_that_is_not_enabled_is_up_and_says_what_it_waits_for() {
    let manager = Manager::new();
    let service = start(&manager, "enabled = false", None);
    assert_eq!(
        status_before(&manager.wait_for("READY=1")),
        "Executions are refused until `enabled` is true; 1 worker serves"
    );
    assert_eq!(service.get("/health/").status, 200);
}

#[test]
fn a_service_that_may_not_execute_is_not_up_and_its_status_says_why() {
    let manager = Manager::new();
    // The service can connect to an address to which it must not be able to connect.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    let mut service = start(&manager, &format!("egress_check = '{address}'"), None);
    let heard = manager.wait_for("STATUS=Executions are refused: the check");
    assert!(
        !heard.iter().any(|message| message == "READY=1"),
        "{heard:?}"
    );
    assert!(
        heard.last().expect("a status").contains("egress"),
        "{heard:?}"
    );
    // The mistake is repaired while the service runs.
    drop(listener);
    service.tell(SIGHUP);
    manager.wait_for("READY=1");
    service.assert_works();
    service.signal(SIGTERM);
    assert_eq!(service.wait().code(), Some(0));
}

/// While the process `pid` is stopped the service sends no sign of life. When the process
/// continues, the service sends them again.
#[track_caller]
fn is_fed_unless_stopped(manager: &Manager, watchdog: Duration, pid: i32) {
    let tell = |signal: Signal| kill(Pid::from_raw(pid), signal).expect("kill");
    manager.wait_for("WATCHDOG=1");
    tell(SIGSTOP);
    // Messages that were on their way.
    while manager.hear(watchdog / 2).is_some() {}
    assert!(
        manager.hears_no_sign_of_life(watchdog),
        "process {pid} is stopped"
    );
    tell(SIGCONT);
    manager.wait_for("WATCHDOG=1");
}

#[test]
fn a_service_whose_event_loop_or_spawner_is_stopped_gives_no_sign_of_life() {
    let manager = Manager::new();
    let service = start(&manager, "", Some("4000000"));
    manager.wait_for("READY=1");
    let watchdog = Duration::from_secs(4);
    is_fed_unless_stopped(&manager, watchdog, service.spawner().pid);
    is_fed_unless_stopped(&manager, watchdog, service.pid());
    // A stopped worker stops no signs of life, since the service replaces workers.
    is_fed_while_stopped(&manager, watchdog, service.workers()[0].pid);
    service.wait_until_it_works();
}

#[track_caller]
fn is_fed_while_stopped(manager: &Manager, watchdog: Duration, pid: i32) {
    let tell = |signal: Signal| kill(Pid::from_raw(pid), signal).expect("kill");
    tell(SIGSTOP);
    while manager.hear(Duration::from_millis(1)).is_some() {}
    assert!(!manager.hears_no_sign_of_life(watchdog));
    tell(SIGCONT);
}

#[test]
fn without_a_watchdog_no_signs_of_life_are_sent() {
    let manager = Manager::new();
    let service = start(&manager, "", None);
    manager.wait_for("STATUS=1 worker serves");
    assert!(manager.hears_no_sign_of_life(Duration::from_secs(3)));
    service.assert_works();
}

#[test]
fn a_manager_that_is_not_there_keeps_nobody_from_serving() {
    let service = Service::start_as(&Setup {
        env: &[
            ("NOTIFY_SOCKET", "/nowhere/notify"),
            ("WATCHDOG_USEC", "1000000"),
        ],
        ..Setup::default()
    });
    service.wait_for_event("notify_failed");
    service.assert_works();
}
