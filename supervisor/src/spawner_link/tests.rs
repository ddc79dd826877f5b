use super::*;
use codejail_protocol::control::LayerMode;
use codejail_protocol::spawn::{CgroupLimits, SpawnerLayers, WorkerBounds};
use std::os::unix::net::UnixStream;

fn name() -> ScratchName {
    ScratchName::from_random([7; 8])
}

/// The configuration of the spawner in tests.
pub(crate) fn config() -> SpawnerConfig {
    SpawnerConfig {
        python_bin: "/bin/false".into(),
        worker_module: "/bin/false".into(),
        env: Vec::new(),
        hash_seed: None,
        scratch_root: "/tmp".into(),
        scratch_tag: name(),
        uid_base: 1000,
        uid_count: 1,
        uids_per_worker: 1,
        shares_uids: false,
        read_paths: Vec::new(),
        bounds: WorkerBounds {
            scratch_bytes_max: 0,
            scratch_files_max: 0,
            cgroup: CgroupLimits {
                memory_bytes_max: 0,
                pids_max: 0,
            },
        },
        layers: SpawnerLayers {
            namespaces: LayerMode::Off,
            mounts: LayerMode::Off,
            cgroup: LayerMode::Off,
            apparmor: LayerMode::Off,
        },
    }
}

/// The answer of a spawner to its configuration, on a host that gives nothing.
pub(crate) fn configured() -> SpawnerReport {
    SpawnerReport::Configured {
        layers: Vec::new(),
        seats: false,
        user_namespaces: false,
        cgroup_bounds: false,
        warnings: Vec::new(),
        apparmor: FoundAppArmor::default(),
    }
}

/// A link to a spawner that was well and now sends nothing, and our end of its socket.
async fn silent_spawner() -> (Arc<SpawnerLink>, CancellationToken, PacketSocket) {
    let (ours, theirs) = PacketSocket::pair().unwrap();
    theirs.send(&configured(), &[]).unwrap();
    let gone = CancellationToken::new();
    let link = SpawnerLink::connect(ours, config(), gone.clone()).await;
    (link.unwrap(), gone, theirs)
}

fn descriptors() -> [OwnedFd; 2] {
    let (one, other) = UnixStream::pair().unwrap();
    [one.into(), other.into()]
}

// The clock stands still unless everybody waits: then it goes on to the next deadline at once.
#[tokio::test(start_paused = true)]
async fn a_spawner_that_does_not_answer_is_given_up() {
    let (link, gone, _socket) = silent_spawner().await;
    let launched = link
        .launch(WorkerId(1), name(), None, Vec::new(), descriptors())
        .await;
    assert!(matches!(launched, Err(SpawnerLinkError::Silent)));
    assert!(gone.is_cancelled());

    let (link, gone, _socket) = silent_spawner().await;
    let cleaned = link.clean(name()).await;
    assert!(matches!(cleaned, Err(SpawnerLinkError::Silent)));
    assert!(gone.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_spawner_that_takes_no_orders_is_given_up() {
    let (link, gone, _socket) = silent_spawner().await;
    // The queue of a socket is bounded, and nothing reads from this one.
    let refused = async {
        loop {
            if let Err(error) = link.kill(WorkerId(1)).await {
                return error;
            }
        }
    };
    assert!(matches!(refused.await, SpawnerLinkError::Silent));
    assert!(gone.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_spawner_that_never_answers_at_all_is_given_up() {
    let (ours, _theirs) = PacketSocket::pair().unwrap();
    let connected = SpawnerLink::connect(ours, config(), CancellationToken::new()).await;
    assert!(matches!(connected, Err(SpawnerLinkError::Silent)));
}

#[tokio::test(start_paused = true)]
async fn a_spawner_that_answers_again_is_asked_again() {
    let (link, _gone, socket) = silent_spawner().await;
    let longest = std::time::Duration::from_secs(5);
    assert!(!link.answers(longest).await);
    // The first question waits for its answer, so no other is sent.
    assert!(!link.answers(longest).await);
    assert_eq!(
        socket.receive().unwrap(),
        Some(SpawnerRequest::Configure(config()))
    );
    assert_eq!(socket.receive().unwrap(), Some(SpawnerRequest::Ping));
    socket.send(&SpawnerReport::Pong, &[]).unwrap();
    while link.waiting.lock().pong.is_some() {
        tokio::task::yield_now().await;
    }
    let answers = || {
        assert_eq!(socket.receive().unwrap(), Some(SpawnerRequest::Ping));
        socket.send(&SpawnerReport::Pong, &[]).unwrap();
    };
    let (answered, ()) = tokio::join!(link.answers(longest), async { answers() });
    assert!(answered);
}
