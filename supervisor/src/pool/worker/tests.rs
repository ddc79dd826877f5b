use super::*;
use crate::config::Config;
use crate::config::current::Current;
use crate::health::Health;
use crate::pool::shared::CheckWorker;
use crate::pool::slots::Slots;
use crate::python_files::PythonFiles;
use crate::spawner_link::SpawnerLink;
use codejail_protocol::ScratchName;
use codejail_protocol::control::LayerMode;
use codejail_protocol::spawn::{
    CgroupLimits, FoundAppArmor, SpawnerConfig, SpawnerLayers, SpawnerOrder, SpawnerReport,
};
use codejail_transport::{Packet, PacketSocket};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::OnceLock;
use tokio::time::sleep;

fn spawner_config() -> SpawnerConfig {
    SpawnerConfig {
        python_bin: "/bin/false".into(),
        worker_module: "/bin/false".into(),
        env: Vec::new(),
        scratch_root: "/tmp".into(),
        scratch_tag: ScratchName::from_random([7; 8]),
        uid_base: 1000,
        uid_count: 1,
        uids_per_worker: 1,
        read_paths: Vec::new(),
        scratch_bytes_max: 0,
        scratch_files_max: 0,
        cgroup: CgroupLimits {
            memory_bytes_max: 0,
            pids_max: 0,
        },
        layers: SpawnerLayers {
            namespaces: LayerMode::Off,
            mounts: LayerMode::Off,
            cgroup: LayerMode::Off,
            apparmor: LayerMode::Off,
        },
    }
}

async fn next_order(spawner: &AsyncPacketSocket) -> Packet<SpawnerOrder> {
    spawner.receive().await.unwrap().unwrap()
}

/// A pool with one slot, and the spawner's end of its socket.
async fn pool() -> (Arc<Shared>, AsyncPacketSocket) {
    let (ours, theirs) = PacketSocket::pair().unwrap();
    let spawner = AsyncPacketSocket::new(theirs).unwrap();
    let configured = SpawnerReport::Configured {
        layers: Vec::new(),
        seats: false,
        apparmor: FoundAppArmor::default(),
    };
    spawner.send(&configured, &[]).await.unwrap();
    let link = SpawnerLink::connect(ours, spawner_config(), CancellationToken::new()).await;
    let first = next_order(&spawner).await.message;
    assert!(matches!(first, SpawnerOrder::Configure(_)));
    let config = Arc::new(Config::default());
    let shared = Shared {
        current: Arc::new(Current::new(Arc::clone(&config))),
        config,
        health: Arc::new(Health::default()),
        spawner: link.unwrap(),
        shelf: Arc::default(),
        slots: Slots::new(1),
        python: PythonFiles::new("python".into()),
        tag: [0; 4],
        names: Mutex::new(HashSet::new()),
        first_worker: OnceLock::new(),
        own_uids: false,
        check_worker: CheckWorker(Box::new(|_, _, _| unreachable!("no worker gets so far"))),
    };
    (Arc::new(shared), spawner)
}

/// Plays a spawner whose worker fails to start, and does not end when it is killed.
async fn launch_one_that_stays(spawner: &AsyncPacketSocket) -> WorkerId {
    let order = next_order(spawner).await;
    let SpawnerOrder::Launch { worker, .. } = order.message else {
        panic!("{:?}", order.message);
    };
    let launched = SpawnerReport::Launched { worker, pid: 1 };
    spawner.send(&launched, &[]).await.unwrap();
    let control = order.descriptors.into_iter().next().unwrap();
    let control = AsyncPacketSocket::new(PacketSocket::from(control)).unwrap();
    let error = "it has a reason".to_owned();
    let failed = WorkerReport::StartFailed { error };
    control.send(&failed, &[]).await.unwrap();
    let order = next_order(spawner).await;
    assert_eq!(order.message, SpawnerOrder::Kill { worker });
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
