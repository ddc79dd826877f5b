use super::*;
use crate::config::Config;
use crate::config::current::Current;
use crate::health::Health;
use crate::pool::shared::CheckWorker;
use crate::pool::slots::Slots;
use crate::python_files::PythonFiles;
use crate::spawner_link::SpawnerLink;
use crate::spawner_link::tests::{config, configured};
use codejail_protocol::spawn::{SpawnerReport, SpawnerRequest};
use codejail_transport::{Packet, PacketSocket};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::OnceLock;
use tokio::runtime::Handle;
use tokio::time::sleep;

async fn next_request(spawner: &AsyncPacketSocket) -> Packet<SpawnerRequest> {
    let packet = spawner.receive_with_descriptors().await;
    packet.unwrap().unwrap()
}

/// A pool with one slot, and the spawner's end of its socket.
async fn pool() -> (Arc<Shared>, AsyncPacketSocket) {
    let (ours, theirs) = PacketSocket::pair().unwrap();
    let spawner = AsyncPacketSocket::new(theirs).unwrap();
    spawner.send(&configured(), &[]).await.unwrap();
    let link = SpawnerLink::connect(ours, config(), CancellationToken::new()).await;
    let first = next_request(&spawner).await.message;
    assert!(matches!(first, SpawnerRequest::Configure(_)));
    let current = Current::new(Arc::new(Config::default()));
    let shared = Shared {
        current: Arc::new(current),
        workers_max: 1,
        health: Arc::new(Health::default()),
        spawner: link.unwrap(),
        shelf: Arc::default(),
        slots: Slots::new(1),
        python: PythonFiles::new("python".into()),
        tag: [0; 4],
        names: Mutex::new(HashSet::new()),
        first_worker: OnceLock::new(),
        preload_failed: Mutex::default(),
        own_uids: false,
        counts: Arc::default(),
        old_runs: Handle::current(),
        check_worker: CheckWorker(Box::new(|_, _, _| unreachable!("no worker gets so far"))),
    };
    (Arc::new(shared), spawner)
}

/// Plays a spawner whose worker fails to start and does not end when it is killed.
async fn launch_one_that_stays(spawner: &AsyncPacketSocket) -> WorkerId {
    let request = next_request(spawner).await;
    let SpawnerRequest::Launch { worker, .. } = request.message else {
        panic!("{:?}", request.message);
    };
    let launched = SpawnerReport::Launched { worker, pid: 1 };
    spawner.send(&launched, &[]).await.unwrap();
    let control = request.descriptors.into_iter().next().unwrap();
    let control = AsyncPacketSocket::new(PacketSocket::from(control)).unwrap();
    let error = "it has a reason".to_owned();
    let failed = WorkerReport::StartFailed { error };
    control.send(&failed, &[]).await.unwrap();
    let request = next_request(spawner).await;
    assert_eq!(request.message, SpawnerRequest::Kill { worker });
    worker
}

// The clock stands still unless everybody waits: then it goes on to the next deadline at once.
#[tokio::test(start_paused = true)]
async fn the_uids_of_a_worker_that_was_killed_and_stays_are_free_when_it_ends() {
    let (shared, spawner) = pool().await;
    let slot = shared.slots.take().unwrap();
    let python = shared.python.settled().await;
    let started = Worker::start(
        Arc::clone(&shared),
        WorkerId(5),
        slot,
        python,
        Arc::default(),
    );
    let (started, worker) = tokio::join!(started, launch_one_that_stays(&spawner));
    assert!(matches!(started, Err(WorkerError::Stays(_))));
    sleep(10 * REAP_MAX).await;
    assert!(shared.slots.take().is_none(), "it still has its uids");
    let ended = SpawnerReport::Ended { worker, status: -9 };
    spawner.send(&ended, &[]).await.unwrap();
    sleep(REAP_MAX).await;
    assert_eq!(shared.slots.take().unwrap().number(), 0);
}
