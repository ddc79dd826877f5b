//! Decodes hostile bytes as each kind of message. Decoding never panics. If it succeeds, encoding
//! the message gives the same bytes.
#![no_main]

use codejail_protocol::control::{WorkerRequest, WorkerReport};
use codejail_protocol::frame;
use codejail_protocol::job::{JobHeader, SandboxReport};
use codejail_protocol::spawn::{SpawnerRequest, SpawnerReport};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn round_trip<T: Serialize + DeserializeOwned>(packet: &[u8]) {
    if let Ok(message) = frame::decode_packet::<T>(packet) {
        assert_eq!(frame::encode(&message).as_deref(), Ok(packet));
    }
}

fuzz_target!(|packet: &[u8]| {
    round_trip::<WorkerRequest>(packet);
    round_trip::<WorkerReport>(packet);
    round_trip::<SandboxReport>(packet);
    round_trip::<SpawnerRequest>(packet);
    round_trip::<SpawnerReport>(packet);
    if let Ok(header) = frame::decode_packet::<JobHeader>(packet) {
        let _ = header.blobs_bytes();
    }
});
