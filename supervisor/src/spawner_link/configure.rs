//! The first messages to and from the spawner: its configuration, and what it found.

use super::error::SpawnerLinkError;
use super::said::log_said;
use codejail_protocol::control::LayerState;
use codejail_protocol::spawn::{FoundAppArmor, SpawnerConfig, SpawnerReport, SpawnerRequest};
use codejail_transport_asynchronous::AsyncPacketSocket;

/// What the spawner found on this host.
#[derive(Debug)]
pub struct SpawnerHost {
    pub layers: Vec<LayerState>,
    pub seats: bool,
    pub user_namespaces: bool,
    pub cgroup_bounds: bool,
    pub warnings: Vec<String>,
    pub apparmor: FoundAppArmor,
}

/// Sends the spawner its configuration. Returns what it found.
pub async fn configure(
    socket: &AsyncPacketSocket,
    config: SpawnerConfig,
) -> Result<SpawnerHost, SpawnerLinkError> {
    socket.send(&SpawnerRequest::Configure(config), &[]).await?;
    let answer = loop {
        match socket.receive().await? {
            Some(SpawnerReport::Said { level, event, text }) => log_said(level, &event, &text),
            answer => break answer,
        }
    };
    match answer {
        Some(SpawnerReport::Configured {
            layers,
            seats,
            user_namespaces,
            cgroup_bounds,
            warnings,
            apparmor,
        }) => Ok(SpawnerHost {
            layers,
            seats,
            user_namespaces,
            cgroup_bounds,
            warnings,
            apparmor,
        }),
        Some(SpawnerReport::ConfigureFailed { error }) => Err(SpawnerLinkError::Configure(error)),
        Some(_) | None => Err(SpawnerLinkError::Gone),
    }
}
