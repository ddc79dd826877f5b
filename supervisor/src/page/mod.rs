//! The page for people on the address of metrics, and the JSON that it shows. It changes nothing
//! and runs nothing.

mod configuration;

use crate::metrics::cold_imports;
use crate::metrics::labels::WorkerState;
use crate::pool::Pool;
use crate::request::finished::KEPT_MAX;
use crate::request::recent::recent;
use crate::service::Service;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The whole page: markup, style and script.
const HTML: &str = include_str!("page.html");

/// The content security policy. It allows the page's own style and script, by their hashes, and
/// requests to its own address.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |tag| STANDARD.encode(Sha256::digest(content(HTML, tag)));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("style"),
        hash("script")
    )
});

/// The content of the page's only element with this name.
fn content<'a>(html: &'a str, tag: &str) -> &'a str {
    let rest = html.split_once(&format!("<{tag}>"));
    let content = rest.and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
    content.map_or("", |(content, _)| content)
}

/// The page. It is the same whatever was executed.
pub fn html() -> Response {
    answer("text/html; charset=utf-8", HTML.to_owned())
}

/// The values that the page shows, as JSON: some 100 KB where names are short, and 2 MB at the very
/// most.
pub fn status(service: &Service) -> Response {
    answer("application/json", state(service).to_string())
}

fn answer(content_type: &'static str, body: String) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}

fn state(service: &Service) -> Value {
    let config = service.config.get();
    let pool = service.pool.get();
    let recent = recent();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let cold_imports: Vec<Value> = cold_imports()
        .into_iter()
        .map(|(module, executions)| json!({"module": module, "executions": executions}))
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "at": now.unwrap_or_default().as_secs_f64(),
        "enabled": config.enabled,
        "safe": service.health.is_safe(),
        "draining": service.drain.is_cancelled(),
        "pool": pool_state(service, pool),
        "latency": recent.latency,
        "checks": service.health.checks(),
        "layers": service.health.layers(),
        "warnings": service.health.warnings(),
        "executions": recent.executions,
        "executions_max": KEPT_MAX,
        "cold_imports": cold_imports,
        "configuration": configuration::state(&service.config),
    })
}

fn pool_state(service: &Service, pool: Option<&Pool>) -> Value {
    let config = service.config.get();
    let queue = service.admission.now();
    let workers = pool.map_or(config.workers, Pool::workers);
    let count = |state| pool.map_or(0, |pool| pool.counts().of(state));
    json!({
        "workers_configured": workers,
        "workers_starting": count(WorkerState::Starting),
        "workers_serving": count(WorkerState::Serving),
        "workers_draining": count(WorkerState::Draining),
        "preload_failures": pool.map_or(0, |pool| pool.counts().preload_failures()),
        "sandboxes_busy": queue.busy,
        "sandboxes_busy_max": queue.busy_max,
        "sandboxes_ready": pool.map_or(0, Pool::ready),
        "sandboxes_ready_max": workers * config.sandboxes_ready(),
        "queue_length": queue.waiting,
        "queue_length_max": queue.waiting_max,
        "queue_oldest_wait_seconds": queue.oldest_wait.as_secs_f64(),
        "queue_oldest_wait_seconds_max": queue.wait_max.as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_file_that_asks_for_no_other() {
        for part in ["style", "script"] {
            assert!(content(HTML, part).len() > 1000, "{part}");
            assert_eq!(HTML.matches(&format!("<{part}")).count(), 1, "{part}");
        }
        for word in ["src=", "href=", "://", "@import", "url("] {
            assert!(!HTML.contains(word), "{word}");
        }
    }

    #[test]
    fn what_was_executed_reaches_the_page_as_text_alone() {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "style=",
            "onclick",
        ] {
            assert!(!HTML.contains(way), "{way}");
        }
    }

    #[test]
    fn the_policy_names_the_hashes_of_style_and_script() {
        assert_eq!(POLICY.matches("'sha256-").count(), 2);
        assert!(!POLICY.contains("unsafe"));
        assert!(POLICY.starts_with("default-src 'none'"));
    }
}
