//! The router: which path goes where. Nothing is decided here.

use crate::metrics::lost_log_lines;
use crate::request;
use crate::request::answer::Answer;
use crate::service::Service;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::PrometheusHandle;

/// All that the service answers to.
pub fn router(service: Service, metrics: PrometheusHandle) -> Router {
    let code_exec = post(request::handle)
        .options(async || Answer::Options)
        .fallback(method_not_allowed);
    Router::new()
        .route("/api/v0/code-exec", code_exec)
        .route("/health/", get(health).options(health))
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready))
        .fallback(async || Answer::NotFound)
        // The bound is the configuration's, applied where the body is read.
        .layer(DefaultBodyLimit::disable())
        .with_state(service.clone())
        .route(
            "/metrics",
            get(async move || {
                gauge!("codejail_queue_length").set(service.admission.waiting() as f64);
                let ready = service.pool.get().map_or(0, crate::pool::Pool::ready);
                gauge!("codejail_sandboxes_ready").set(ready as f64);
                gauge!("codejail_bodies_bytes").set(service.bodies.held_bytes() as f64);
                counter!("codejail_log_lines_lost_total").absolute(lost_log_lines());
                metrics.render()
            }),
        )
}

async fn method_not_allowed(method: Method) -> Answer {
    Answer::MethodNotAllowed(method.to_string())
}

async fn health(State(service): State<Service>) -> Response {
    json(service.health.is_safe(), service.health.body())
}

/// Should a balancer send executions here? That all sandboxes are busy for a moment is no reason against
/// it: an execution waits for the next one.
async fn ready(State(service): State<Service>) -> Response {
    let enabled = service.config.get().enabled;
    let safe = service.health.is_safe();
    let workers = service.health.workers();
    let draining = service.drain.is_cancelled();
    let body = serde_json::json!({
        "enabled": enabled,
        "safe": safe,
        "workers": workers,
        "draining": draining,
        "sandboxes_ready": service.pool.get().map_or(0, crate::pool::Pool::ready),
    });
    json(
        enabled && safe && workers > 0 && !draining,
        body.to_string(),
    )
}

fn json(good: bool, body: String) -> Response {
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
