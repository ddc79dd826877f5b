//! Tells the service manager how the service is: in words, and by a sign of life.
//!
//! The sign of life says more than that this process is there: the runtime must get to its tasks in
//! time, and the spawner must answer. If either is stopped or stuck, the service serves no new
//! client.

use super::Notifier;
use crate::service::Service;
use crate::spawner_link::SpawnerLink;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often the words are told: people read them.
const WORDS_EVERY: Duration = Duration::from_secs(2);
/// How many signs of life a manager gets within the time that it allows. sd_watchdog_enabled(3)
/// wants two at least, and a question to the spawner takes time, too.
const SIGNS_MIN: u32 = 4;

/// Tells the manager how the service is, and then that it is up. Whoever waits until it is up and
/// then asks how it is (`systemctl start`, `systemctl status`) must not read an older answer.
pub fn tell_ready(notifier: &Notifier, service: &Service) {
    notifier.status(&words(service));
    notifier.ready();
}

/// Tells the manager how the service is for as long as that runs.
pub async fn keep_told(notifier: Arc<Notifier>, service: Service, spawner: Arc<SpawnerLink>) {
    let watchdog = notifier.watchdog();
    let longest = watchdog.map(|longest| longest / SIGNS_MIN);
    let every = longest.map_or(WORDS_EVERY, |longest| longest.min(WORDS_EVERY));
    loop {
        notifier.status(&words(&service));
        if let Some(longest) = longest
            && is_well(&spawner, longest).await
        {
            notifier.feed_watchdog();
        }
        tokio::select! {
            () = sleep(every) => {}
            () = service.drain.cancelled() => break,
        }
    }
    // The end has its own bounds: graceful_timeout_ms here, and TimeoutStopSec of the manager.
    notifier.status(&words(&service));
}

/// Whether both the runtime and the spawner answer within `longest`.
async fn is_well(spawner: &SpawnerLink, longest: Duration) -> bool {
    // This is a task of its own, so it takes its turn among all others.
    let turn = timeout(longest, tokio::spawn(async {}));
    let (answers, turn) = tokio::join!(spawner.answers(longest / 2), turn);
    answers && matches!(turn, Ok(Ok(())))
}

fn words(service: &Service) -> String {
    let config = service.config.get();
    if service.drain.is_cancelled() {
        let seconds = config.graceful_timeout_ms.div_ceil(1000);
        return format!("Ending: what runs has {seconds} s to finish");
    }
    let workers = service.health.workers();
    if !service.health.is_safe() {
        let checks = service.health.checks();
        let failed = checks
            .iter()
            .find_map(|check| Some((check.id, check.failure.as_deref()?)));
        return match failed {
            Some((id, failure)) => {
                format!("Executions are refused: the check {id} failed: {failure}")
            }
            None => "Executions are refused: no worker has passed its checks".to_owned(),
        };
    }
    let number = match workers {
        1 => "1 worker serves".to_owned(),
        workers => format!("{workers} workers serve"),
    };
    if config.enabled {
        number
    } else {
        format!("Executions are refused until `enabled` is true; {number}")
    }
}
