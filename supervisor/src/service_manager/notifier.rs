//! Messages to the service manager, sd_notify(3).

use parking_lot::Mutex;
use sd_notify::NotifyState;
use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest text of a status. `systemctl status` shows it in a line or two.
const STATUS_BYTES_MAX: usize = 300;

/// The way to the service manager. If there is no manager, or it does not want messages, nothing is
/// sent.
#[derive(Debug, Default)]
pub struct Notifier {
    /// It never waits: a manager that takes no messages must not hold up the service.
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
    ready: AtomicBool,
    status: Mutex<String>,
    failed: AtomicBool,
}

impl Notifier {
    /// For the manager that the environment names.
    #[must_use]
    pub fn of_process() -> Self {
        let Some(path) = env::var_os("NOTIFY_SOCKET") else {
            return Self::default();
        };
        let socket = match connect(path.as_bytes()) {
            Ok(socket) => Some(socket),
            Err(error) => {
                say_failed(&error);
                None
            }
        };
        Self {
            socket,
            watchdog: sd_notify::watchdog_enabled(),
            ..Self::default()
        }
    }

    /// How long the manager waits for the next sign of life before it kills the service.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.socket.is_some())
    }

    /// Says that the service is up. Later calls say that it is up again.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
        self.send(&[NotifyState::Ready]);
    }

    /// Says that the configuration is read anew; [`Self::ready`] follows. Before the service is up,
    /// says nothing.
    pub fn reloading(&self) -> bool {
        let ready = self.ready.load(Ordering::Relaxed);
        if ready && let Ok(now) = NotifyState::monotonic_usec_now() {
            // With the time, systemd knows whether this is the reload that it asked for.
            self.send(&[NotifyState::Reloading, now]);
        }
        ready
    }

    /// Says that the service ends.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// Says that all is well.
    pub fn feed_watchdog(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// Says in words how the service is. It is sent only if it is news.
    pub fn status(&self, status: &str) {
        // Each line of a message is a statement of its own.
        let line = status.replace(char::is_control, " ");
        let line = &line[..line.floor_char_boundary(STATUS_BYTES_MAX)];
        let mut last = self.status.lock();
        if *last != line {
            line.clone_into(&mut last);
            self.send(&[NotifyState::Status(line)]);
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
        match socket.send(lines.join("\n").as_bytes()) {
            Ok(_) => self.failed.store(false, Ordering::Relaxed),
            // There is a message every few seconds. So only the first of several failures in a row
            // is logged.
            Err(error) if !self.failed.swap(true, Ordering::Relaxed) => say_failed(&error),
            Err(_) => {}
        }
    }
}

fn say_failed(error: &io::Error) {
    tracing::warn!(
        event = "notify_failed",
        %error,
        "the service manager can't be told how the service is (NOTIFY_SOCKET)"
    );
}

/// Connects to the socket at a path. `@name` is a socket in Linux's abstract namespace, which has
/// no file.
fn connect(path: &[u8]) -> io::Result<UnixDatagram> {
    let address = match path {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    fn notifier() -> (Notifier, UnixDatagram) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // A name, not the path of a file.
        let name = format!("codejail-test-{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let theirs = UnixDatagram::bind_addr(&address).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let path = format!("@{name}").into_bytes();
        let notifier = Notifier {
            socket: Some(connect(&path).unwrap()),
            ..Notifier::default()
        };
        (notifier, theirs)
    }

    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut message = [0; 1024];
        let length = socket.recv(&mut message).ok()?;
        Some(String::from_utf8(message[..length].to_vec()).unwrap())
    }

    #[test]
    fn a_status_is_one_line_that_is_sent_once() {
        let (notifier, manager) = notifier();
        notifier.status("safe\nREADY=1");
        assert_eq!(heard(&manager).unwrap(), "STATUS=safe READY=1");
        notifier.status("safe\nREADY=1");
        assert_eq!(heard(&manager), None);
        notifier.status(&"ä".repeat(1000));
        assert_eq!(
            heard(&manager).unwrap().len(),
            "STATUS=".len() + STATUS_BYTES_MAX
        );
    }

    #[test]
    fn what_is_not_up_is_not_reloading() {
        let (notifier, manager) = notifier();
        assert!(!notifier.reloading());
        assert_eq!(heard(&manager), None);
        notifier.ready();
        assert_eq!(heard(&manager).unwrap(), "READY=1");
        assert!(notifier.reloading());
        let message = heard(&manager).unwrap();
        let (state, since) = message.split_once('\n').unwrap();
        assert_eq!(state, "RELOADING=1");
        let usec = since.strip_prefix("MONOTONIC_USEC=").unwrap();
        assert!(usec.parse::<u64>().unwrap() > 0, "{message}");
    }

    #[test]
    fn a_manager_that_takes_nothing_holds_nobody_up() {
        let (notifier, _manager) = notifier();
        // The queue is bounded (net.unix.max_dgram_qlen), and nothing reads from it.
        for _ in 0..10_000 {
            notifier.feed_watchdog();
        }
    }
}
