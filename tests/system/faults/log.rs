//! A log that can't be written: the service serves and counts the lost lines, and exit statuses
//! stay right.

use codejail_harness::binary;
use codejail_harness::python::sandbox_python;
use codejail_harness::wait::{END_MAX, START_MAX, wait_for};
use codejail_harness::{Service, Setup};
use serde_json::json;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

const LOST: &str = "codejail_log_lines_lost_total";

/// Starts a service whose standard error is a pipe of one page. The reader passes on every line up
/// to the one with the address. Then it goes away, or stays and reads nothing until the service has
/// ended.
const STARTER: &str = r"
import fcntl, os, select, sys
reads, writes = os.pipe()
fcntl.fcntl(writes, 1031, 4096)  # F_SETPIPE_SZ
child = os.fork()
if child:
    os.waitpid(child, 0)
    os.close(reads)
    os.dup2(writes, 2)
    os.close(writes)
    os.execv(sys.argv[2], sys.argv[2:])
if os.fork():
    os._exit(0)
os.close(writes)
said = b''
while b'listening on ' not in said or not said.endswith(b'\n'):
    byte = os.read(reads, 1)
    if not byte:
        break
    said += byte
os.write(2, said)
if sys.argv[1] == 'stays':
    end = select.poll()
    end.register(reads, 0)
    end.poll()
";

fn start_with_reader(reader: &str, overrides: &str) -> Service {
    let python = sandbox_python();
    let python = python.to_str().expect("UTF-8");
    let service = Service::launch(&Setup {
        overrides,
        starter: &[python, "-c", STARTER, reader],
        ..Setup::default()
    });
    service.wait_until_healthy();
    service
}

fn assert_serves_and_counts(service: &Service) {
    assert_eq!(service.value_of_x("x = 1"), json!(1));
    assert!(service.metric(LOST) > 0, "{}", service.get("/metrics").body);
}

#[test]
fn a_service_whose_log_is_on_a_full_disk_serves_and_counts_lost_lines() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address: SocketAddr = free.local_addr().expect("its address");
    drop(free);
    // The real log is lost, so the starter writes the line with the address.
    let start = format!(
        "echo 'listening on {address} event=\"service_listening\"' >&2; exec \"$@\" 2>/dev/full"
    );
    let service = Service::launch(&Setup {
        overrides: &format!("bind = '{address}'"),
        starter: &["sh", "-c", &start, "sh"],
        ..Setup::default()
    });
    wait_for("an open port", START_MAX, || {
        TcpStream::connect(address).ok()
    });
    service.wait_until_healthy();
    assert_serves_and_counts(&service);
}

#[test]
fn a_service_whose_log_nobody_reads_any_more_serves_and_counts_lost_lines() {
    // `2>&1 | head -1` leaves a log like that.
    assert_serves_and_counts(&start_with_reader("goes", ""));
}

#[test]
fn a_service_whose_log_reader_stands_still_serves_and_counts_lost_lines() {
    let service = start_with_reader("stays", "");
    wait_for("a full pipe", END_MAX, || {
        service.tell(nix::sys::signal::Signal::SIGUSR1);
        (service.metric(LOST) > 0).then_some(())
    });
    assert_serves_and_counts(&service);
}

/// The exit status of codejail with this standard output and this standard error.
fn status(arguments: &[&str], out: Stdio, err: Stdio) -> Option<i32> {
    let mut command = Command::new(binary::codejail());
    command.args(arguments).stdin(Stdio::null());
    command.stdout(out).stderr(err);
    command.status().expect("start codejail").code()
}

fn full() -> Stdio {
    let full = std::fs::File::options().write(true).open("/dev/full");
    full.expect("/dev/full").into()
}

fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn commands_that_cannot_say_it_end_with_the_right_status() {
    let service = Service::start("");
    let config = service.dir().join("codejail.toml");
    let config = config.to_str().expect("UTF-8");
    for unwritable in [full, closed] {
        let of = |arguments: &[&str], out| {
            let with_config = [arguments, &["--config", config]].concat();
            status(&with_config, out, unwritable())
        };
        // The status alone tells the result.
        assert_eq!(of(&["serve", "--check-config"], unwritable()), Some(0));
        assert_eq!(of(&["check"], unwritable()), Some(0));
        // The status tells the mistake, which standard error can't.
        let wrong = ["serve", "--check-config", "--bind", "nowhere"];
        assert_eq!(of(&wrong, Stdio::null()), Some(78));
        // The user asked for the printed text, so its loss is a failure.
        assert_eq!(of(&["serve", "--print-config"], unwritable()), Some(74));
        let file = service.dir().join("problem.py");
        let run = ["run", file.to_str().expect("UTF-8")];
        std::fs::write(&file, "x = 1").expect("write");
        assert_eq!(of(&run, unwritable()), Some(74));
        assert_eq!(of(&run, Stdio::null()), Some(0));
        std::fs::write(&file, "1 / 0").expect("write");
        assert_eq!(of(&run, unwritable()), Some(1));
    }
}
