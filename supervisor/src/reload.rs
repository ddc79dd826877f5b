//! How a new configuration takes the place of the old one while the service runs.

use crate::boot::Host;
use crate::config::load::Sources;
use crate::service::Service;
use crate::startup_check;
use std::sync::Arc;

/// Reads the configuration anew and applies what can be applied; what can't is named. One that is
/// wrong changes nothing. Workers are replaced by such that have the new one, each once its successor
/// serves: no request is lost.
pub async fn reload(sources: &Sources, host: &Host, service: &Service) {
    let sources = sources.clone();
    // Files may lie on a disk that is slow.
    let loaded = match tokio::task::spawn_blocking(move || sources.load()).await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(error)) => {
            tracing::error!(
                event = "reload_failed",
                %error,
                "HUP: the configuration stays as it was"
            );
            return;
        }
        // The runtime is ending.
        Err(_) => return,
    };
    for note in &loaded.notes {
        note.log();
    }
    let (config, kept) = loaded.config.keeping_what_is_fixed(&host.config);
    for key in kept {
        tracing::warn!(
            event = "fixed_key_changed",
            "HUP: {key} has changed, which takes a restart; it stays as it was"
        );
    }
    let Some(pool) = service.pool.get() else {
        return;
    };
    service
        .health
        .own_checked(startup_check::of_service(&config).await);
    let (workers, library_bytes_max) = (config.workers, config.library_cache.bytes_max);
    service.config.set(Arc::new(config));
    resize(service, pool.resize(workers));
    service.libraries.reset(library_bytes_max);
    pool.rewarm();
    tracing::info!(
        event = "configuration_reloaded",
        workers,
        "HUP: the configuration was read; workers are replaced"
    );
}

/// One worker more, or one less: the signals that gunicorn has for it.
pub fn add_workers(service: &Service, change: isize) {
    let Some(pool) = service.pool.get() else {
        return;
    };
    let before = pool.workers();
    let after = pool.resize(before.saturating_add_signed(change));
    resize(service, after);
    if after == before {
        tracing::warn!(
            event = "workers_bounded",
            workers = after,
            "as many workers as there can be, or as few"
        );
    } else {
        tracing::info!(
            event = "workers_changed",
            workers = after,
            "one worker more or less"
        );
    }
}

/// As many executions at a time as the workers can have.
fn resize(service: &Service, workers: usize) {
    service.admission.set(&service.config.get(), workers);
}
