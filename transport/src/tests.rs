use super::*;
use codejail_protocol::control::{SandboxId, WorkerRequest};
use nix::unistd::{pipe, read, write};

fn kill(number: u64) -> WorkerRequest {
    WorkerRequest::Kill {
        sandbox: SandboxId(number),
    }
}

#[test]
fn a_message_and_its_descriptors_arrive_together() {
    let (left, right) = PacketSocket::pair().unwrap();
    let (reader, writer) = pipe().unwrap();
    left.send(&kill(7), &[writer.as_fd()]).unwrap();
    let packet = right
        .receive_with_descriptors::<WorkerRequest>()
        .unwrap()
        .unwrap();
    assert_eq!(packet.message, kill(7));
    write(&packet.descriptors[0], b"x").unwrap();
    let mut byte = [0];
    assert_eq!(read(&reader, &mut byte), Ok(1));
}

#[test]
fn a_closed_peer_is_an_end_and_not_an_error() {
    let (left, right) = PacketSocket::pair().unwrap();
    drop(left);
    assert!(right.receive::<WorkerRequest>().unwrap().is_none());
    assert!(matches!(
        right.send(&kill(1), &[]),
        Err(PacketError::Socket(Errno::EPIPE))
    ));
}

#[test]
fn packets_come_one_by_one_and_whole() {
    let (left, right) = PacketSocket::pair().unwrap();
    let (reader, _writer) = pipe().unwrap();
    left.send(&kill(1), &[reader.as_fd()]).unwrap();
    left.send(&kill(2), &[]).unwrap();
    let first = right
        .receive_with_descriptors::<WorkerRequest>()
        .unwrap()
        .unwrap();
    assert_eq!((first.message, first.descriptors.len()), (kill(1), 1));
    let second = right
        .receive_with_descriptors::<WorkerRequest>()
        .unwrap()
        .unwrap();
    assert_eq!((second.message, second.descriptors.len()), (kill(2), 0));
}

#[test]
fn a_packet_longer_than_any_message_is_a_broken_protocol() {
    let (left, right) = PacketSocket::pair().unwrap();
    let long = vec![0; PREFIX_BYTES + FRAME_BYTES_MAX + 1];
    nix::sys::socket::send(left.as_raw_fd(), &long, MsgFlags::empty()).unwrap();
    assert!(matches!(
        right.receive::<WorkerRequest>(),
        Err(PacketError::Truncated)
    ));
}

#[test]
fn garbage_is_a_broken_protocol() {
    let (left, right) = PacketSocket::pair().unwrap();
    nix::sys::socket::send(left.as_raw_fd(), &[9; 40], MsgFlags::empty()).unwrap();
    assert!(matches!(
        right.receive::<WorkerRequest>(),
        Err(PacketError::Frame(_))
    ));
}

/// In a process of its own, since the other tests open and close descriptors.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

const ALONE: &str = "CODEJAIL_TRANSPORT_ALONE";

/// Runs one test of this file again, alone in its process; false in that process.
fn was_run_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let alone = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("tests::{test}"), "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    assert!(alone.status.success(), "{alone:?}");
    let said = String::from_utf8_lossy(&alone.stdout).into_owned();
    assert!(said.contains("1 passed"), "{said}");
    true
}

#[test]
fn more_descriptors_than_any_message_has_are_closed() {
    if was_run_alone("more_descriptors_than_any_message_has_are_closed") {
        return;
    }
    let (left, right) = PacketSocket::pair().unwrap();
    let before = open_descriptors();
    for count in [DESCRIPTORS_MAX + 1, 200] {
        left.send(&kill(1), &vec![left.as_fd(); count]).unwrap();
        assert!(matches!(
            right.receive_with_descriptors::<WorkerRequest>(),
            Err(PacketError::Truncated)
        ));
        assert_eq!(open_descriptors(), before, "{count}");
    }
    // All of them come with something that is no message, and all are closed too.
    let rights = [left.as_raw_fd(); DESCRIPTORS_MAX];
    sendmsg::<UnixAddr>(
        left.as_raw_fd(),
        &[IoSlice::new(&[9; 40])],
        &[ControlMessage::ScmRights(&rights)],
        MsgFlags::empty(),
        None,
    )
    .unwrap();
    assert!(right.receive_with_descriptors::<WorkerRequest>().is_err());
    assert_eq!(open_descriptors(), before);
}

#[test]
fn a_receiver_that_takes_no_descriptors_gets_none() {
    if was_run_alone("a_receiver_that_takes_no_descriptors_gets_none") {
        return;
    }
    let (left, right) = PacketSocket::pair().unwrap();
    let before = open_descriptors();
    left.send(&kill(1), &[left.as_fd()]).unwrap();
    left.send(&kill(2), &[]).unwrap();
    assert!(matches!(
        right.receive::<WorkerRequest>(),
        Err(PacketError::Truncated)
    ));
    assert_eq!(open_descriptors(), before);
    assert_eq!(right.receive().unwrap(), Some(kill(2)));
}
