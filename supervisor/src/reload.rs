//! How a new configuration takes the place of the old one while the service runs.

use crate::boot::{Host, worker_bounds};
use crate::config::load::Sources;
use crate::config::{Change, Config, LogFormat};
use crate::log;
use crate::metrics::count_reload;
use crate::service::Service;
use crate::startup_check;
use std::sync::Arc;

/// Most changed keys that one reload names: all keys that exist, and the limits of some twenty
/// courses.
const CHANGES_SAID_MAX: usize = 150;

/// Reads the configuration anew and applies everything that can be applied. Other changes are named
/// in the log. A configuration with a mistake changes nothing. Each worker is replaced by one with
/// the new configuration. It stops when its successor serves, so no request is lost.
pub async fn reload(sources: &Sources, host: &Host, service: &Service) {
    let sources = sources.clone();
    // The files may lie on a slow disk.
    let loaded = match tokio::task::spawn_blocking(move || sources.load()).await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(error)) => {
            refused(service);
            tracing::error!(
                event = "reload_failed",
                error = error.told().join("; "),
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
    let Some(config) = settled(loaded.config, host, service) else {
        return refused(service);
    };
    let Some(pool) = service.pool.get() else {
        return;
    };
    service
        .health
        .own_checked(startup_check::of_service(&config).await);
    let (workers, library_bytes_max) = (config.workers, config.library_cache.bytes_max);
    service.health.set_layers(host.layers(&config));
    for note in host.notes(&config, workers) {
        note.log();
    }
    let bounds = worker_bounds(&config);
    log::change(&config.log.level, config.log.format == LogFormat::Json);
    say_payloads(&config);
    service.config.set_settings(loaded.settings);
    service.config.set(Arc::new(config));
    if let Err(error) = host.spawner.bound(bounds).await {
        // The service ends, since it can't work without its spawner.
        tracing::error!(event = "reload_failed", %error, "HUP: new workers can't get their limits");
        return;
    }
    resize(service, pool.resize(workers));
    service.libraries.reset(library_bytes_max);
    pool.rewarm();
    count_reload(true);
    tracing::info!(
        event = "configuration_reloaded",
        workers,
        "HUP: the configuration was read; workers are replaced"
    );
}

/// Notes a configuration that was read and does not count.
fn refused(service: &Service) {
    service.config.refused();
    count_reload(false);
}

/// Warns that the log will contain what learners and authors wrote.
pub fn say_payloads(config: &Config) {
    if config.log.payloads {
        tracing::warn!(
            event = "payloads_logged",
            "log.payloads = true: the log has the code, the globals and the results of \
             executions: texts of learners and course authors"
        );
    }
}

/// The configuration that counts from now on. Keys that take a restart keep their old values. Logs
/// which keys have changed, and which of them wait.
fn settled(mut loaded: Config, host: &Host, service: &Service) -> Option<Config> {
    let now = service.config.get();
    let (most, wanted) = (host.config.workers_max(), loaded.workers);
    loaded.workers = wanted.min(most);
    let settled = loaded.keeping_what_is_fixed(&host.config);
    let settled = settled.and_then(|(config, waiting)| {
        let changes = config.changes_from(&now)?;
        Ok((config, waiting, changes))
    });
    let (config, waiting, changes) = match settled {
        Ok(settled) => settled,
        Err(error) => {
            tracing::error!(
                event = "reload_failed",
                %error,
                "HUP: the configuration stays as it was"
            );
            return None;
        }
    };
    say(&waiting, |change| {
        tracing::warn!(
            event = "fixed_key_changed",
            key = change.key,
            "HUP: {change} takes a restart; it stays as it was"
        );
    });
    if wanted > most {
        tracing::warn!(
            event = "fixed_key_changed",
            key = "workers",
            "HUP: workers = {wanted}: more than {most} takes a restart; {most} are kept"
        );
    }
    say(&changes, |change| {
        tracing::info!(
            event = "key_changed",
            key = change.key,
            "HUP: {change} ({})",
            change.applies
        );
    });
    Some(config)
}

/// Logs each change, up to a bound.
fn say(changes: &[Change], line: impl Fn(&Change)) {
    changes.iter().take(CHANGES_SAID_MAX).for_each(line);
    let more = changes.len().saturating_sub(CHANGES_SAID_MAX);
    if more > 0 {
        tracing::info!(
            event = "keys_changed",
            more,
            "HUP: {more} more keys have changed"
        );
    }
}

/// Adds a worker, or removes one, as gunicorn does at the same signals.
pub fn add_workers(service: &Service, change: isize) {
    let Some(pool) = service.pool.get() else {
        return;
    };
    let (signal, bound) = match change {
        0.. => ("TTIN", "no more"),
        _ => ("TTOU", "no fewer"),
    };
    let before = pool.workers();
    let after = pool.resize(before.saturating_add_signed(change));
    resize(service, after);
    if after == before {
        tracing::warn!(
            event = "workers_bounded",
            workers = after,
            "{signal}: {after} workers stay: {bound} can be kept"
        );
    } else {
        tracing::info!(
            event = "workers_changed",
            workers = after,
            "{signal}: {after} workers instead of {before}"
        );
    }
}

/// Admits as many executions at a time as so many workers can have.
fn resize(service: &Service, workers: usize) {
    service.admission.set(&service.config.get(), workers);
}
