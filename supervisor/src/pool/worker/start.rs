//! From a launch to a warm worker.

use super::error::WorkerError;
use super::{BY_ITSELF, Worker, wait_for_end};
use crate::pool::live::LiveSandboxes;
use crate::pool::pause::Pause;
use crate::pool::ready::Shelf;
use crate::pool::shared::{Shared, image_name};
use crate::pool::slots::Slot;
use crate::pool::worker_log::log_lines;
use crate::python_files::PythonVersion;
use codejail_protocol::BUILD;
use codejail_protocol::control::{Hello, WorkerConfig, WorkerLayers, WorkerReport, WorkerRequest};
use codejail_protocol::spawn::WorkerId;
use codejail_transport::{PacketError, PacketSocket};
use codejail_transport_asynchronous::AsyncPacketSocket;
use metrics::histogram;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// How long we wait for the exit of a worker that did not get warm before we kill it. Its exit
/// status tells more than a closed socket.
const LAST_WORD_MAX: Duration = Duration::from_secs(1);
impl Worker {
    /// Launches a worker on `slot` and waits until it is warm. Its sandboxes are on `shelf` until
    /// it is told to join.
    pub async fn start(
        shared: Arc<Shared>,
        id: WorkerId,
        slot: Slot,
        python: PythonVersion,
        shelf: Arc<Shelf>,
    ) -> Result<(Self, Hello), WorkerError> {
        let (started, launched_at) = (Instant::now(), SystemTime::now());
        let uids = shared.worker_uids(&slot);
        let (ours, theirs) = PacketSocket::pair().map_err(io::Error::from)?;
        let (log_read, log_write) = pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
        tokio::spawn(log_lines(id, pipe::Receiver::from_owned_fd(log_read)?));
        let dir = shared.scratch_name()?;
        let uid = uids.as_ref().map(|range| range.start);
        let descriptors = [theirs.into(), log_write];
        let sandbox_uids = uids.map(|range| (range.start + 1, range.end - 1));
        let seats = shared.seats(sandbox_uids)?;
        let live = LiveSandboxes::new(Arc::clone(&shared), dir.clone(), seats);
        let names = live.seat_names();
        let launch = shared.spawner.launch(id, dir, uid, names, descriptors);
        let (pid, end) = launch.await?;
        tracing::info!(
            event = "worker_launched",
            worker = id.0,
            pid,
            "worker launched"
        );
        let (say, commands) = mpsc::unbounded_channel();
        let mut worker = Self {
            id,
            control: AsyncPacketSocket::new(ours)?,
            end: Some(end),
            say,
            commands,
            live,
            executions_left: shared.executions()?,
            failures: 0,
            pause: Pause::new(shared.current.get().sandboxes_ready()),
            shelf,
            joined: false,
            shared,
            slot,
            python,
            image: Arc::from(""),
        };
        let longest = Duration::from_millis(worker.shared.current.get().warm_up_timeout_ms);
        let error = match timeout(longest, worker.warm_up(sandbox_uids)).await {
            Ok(Ok(hello)) => {
                let elapsed = started.elapsed().as_secs_f64();
                histogram!("codejail_worker_warm_up_seconds").record(elapsed);
                let config = worker.shared.current.get();
                let scratch = &config.sandbox.scratch_dir;
                let python = &worker.shared.python;
                python.look_at(&hello.import_paths, scratch, launched_at);
                worker.image = image_name(&hello, &config.python.preload);
                return Ok((worker, hello));
            }
            Ok(Err(error)) => worker.why(error).await,
            Err(_) => WorkerError::Slow(longest),
        };
        worker.end_all().await?;
        Err(error)
    }

    /// Returns the better error. A broken conversation tells little; if the process ended by
    /// itself, its exit status tells more.
    async fn why(&mut self, error: WorkerError) -> WorkerError {
        if !matches!(
            error,
            WorkerError::Ended | WorkerError::Packet(PacketError::Socket(_))
        ) {
            return error;
        }
        match timeout(
            LAST_WORD_MAX,
            wait_for_end(&mut self.end, self.id, BY_ITSELF),
        )
        .await
        {
            Ok(Some(status)) => {
                let bin = self.shared.current.get().python.bin.clone();
                WorkerError::Exited { bin, status }
            }
            Ok(None) | Err(_) => error,
        }
    }

    async fn warm_up(&self, sandbox_uids: Option<(u32, u32)>) -> Result<Hello, WorkerError> {
        let config = self.shared.current.get();
        let start = WorkerRequest::Start(WorkerConfig {
            preload: config.python.preload.clone(),
            scratch_root: config.sandbox.scratch_dir.clone(),
            read_paths: config.read_paths(),
            sandboxes_max: u32::try_from(config.sandboxes_max()).unwrap_or(u32::MAX),
            descriptors_max: config.descriptors_max,
            own_uids: sandbox_uids.is_some(),
            user_namespaces: self.shared.spawner.user_namespaces(),
            seats: self.shared.spawner.seats(),
            sealed_image: config.python.sealed_image,
            huge_pages: config.python.huge_pages,
            layers: WorkerLayers {
                landlock: config.layers.landlock,
                seccomp: config.layers.seccomp,
                rlimits: config.layers.rlimits,
            },
            apparmor: self.shared.spawner.apparmor().profiles.clone(),
        });
        self.control.send(&start, &[]).await?;
        match self.control.receive().await? {
            Some(WorkerReport::Hello(hello)) if hello.build == BUILD => Ok(hello),
            Some(WorkerReport::Hello(hello)) => Err(WorkerError::Start(format!(
                "the worker module is {}, the service {BUILD}: install both from one build",
                hello.build
            ))),
            Some(WorkerReport::StartFailed { error }) => {
                let bin = config.python.bin.clone();
                Err(WorkerError::Refused { bin, error })
            }
            Some(_) => Err(WorkerError::Protocol("expected Hello")),
            None => Err(WorkerError::Ended),
        }
    }
}
