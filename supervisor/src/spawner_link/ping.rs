//! Whether the spawner answers at all.

use super::SpawnerLink;
use codejail_protocol::spawn::SpawnerRequest;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

impl SpawnerLink {
    /// Whether the spawner takes a question within `longest`, and answers it within as long. While
    /// an earlier question waits for its answer no other is sent, and the result is `false`.
    pub async fn answers(&self, longest: Duration) -> bool {
        let (pong, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.pong.is_some() {
                return false;
            }
            waiting.pong = Some(pong);
        }
        let sent = timeout(longest, self.socket.send(&SpawnerRequest::Ping, &[])).await;
        if !matches!(sent, Ok(Ok(()))) {
            // No answer will come.
            self.waiting.lock().pong = None;
            return false;
        }
        matches!(timeout(longest, answered).await, Ok(Ok(())))
    }
}
