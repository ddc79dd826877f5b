//! An optional deadline.

use tokio::time::{Instant, sleep_until};

/// Sleeps until `deadline`; without one, for ever.
pub async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
