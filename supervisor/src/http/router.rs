//! The routers: which path goes where, on the API's address and on that of metrics. Nothing is
//! decided here.

use crate::page;
use crate::request;
use crate::request::answer::Answer;
use crate::scrape;
use crate::service::Service;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::handler::Handler;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use metrics_exporter_prometheus::PrometheusHandle;

/// The content type of `/metrics`.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The API's description, OpenAPI 3.1.
const OPENAPI: &str = include_str!("openapi.json");
/// Seconds after which a client that was turned away may try again.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// The router of the API's address.
pub fn router(service: Service, metrics: PrometheusHandle) -> Router {
    let code_exec = post(request::handle)
        .options(async || Answer::Options)
        .fallback(method_not_allowed);
    let scraped = service.clone();
    let on_api_address = async move || match scraped.config.get().metrics.on_api_address {
        true => metrics_page(&scraped, &metrics),
        false => Answer::NotFound.into_response(),
    };
    Router::new()
        .route("/api/v0/code-exec", code_exec)
        .route(
            "/api/v0/openapi.json",
            only_get(async || json(true, OPENAPI.to_owned())),
        )
        .merge(health_routes())
        // `body.rs` applies the configured bound when it reads the body.
        .layer(DefaultBodyLimit::disable())
        .with_state(service)
        .route("/metrics", only_get(on_api_address))
        .fallback(async || Answer::NotFound)
}

/// The router of the address of metrics: no path on it executes code.
pub fn metrics_router(service: Service, metrics: PrometheusHandle) -> Router {
    let scraped = service.clone();
    let metrics_page = async move || metrics_page(&scraped, &metrics);
    let status = async |State(service): State<Service>| page::status(&service);
    health_routes()
        .route("/", only_get(async || page::html()))
        .route("/page.json", only_get(status))
        .with_state(service)
        .route("/metrics", only_get(metrics_page))
        .fallback(async || Answer::NotFound)
}

fn health_routes() -> Router<Service> {
    Router::new()
        // Like the original's, this path answers OPTIONS like GET.
        .route(
            "/health/",
            get(health)
                .options(health)
                .fallback(async |method| only("GET, HEAD, OPTIONS", method)),
        )
        .route("/livez", only_get(async || "ok"))
        .route("/readyz", only_get(ready))
}

/// GET, and HEAD with it.
fn only_get<T: 'static, S: Clone + Send + Sync + 'static>(
    handler: impl Handler<T, S>,
) -> MethodRouter<S> {
    get(handler).fallback(async |method| only("GET, HEAD", method))
}

fn only(allowed: &'static str, method: Method) -> Response {
    let mut response = Answer::MethodNotAllowed(method.to_string()).into_response();
    let allowed = HeaderValue::from_static(allowed);
    response.headers_mut().insert(ALLOW, allowed);
    response
}

async fn method_not_allowed(method: Method) -> Answer {
    Answer::MethodNotAllowed(method.to_string())
}

fn metrics_page(service: &Service, recorded: &PrometheusHandle) -> Response {
    let text = scrape::text(service, recorded);
    ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response()
}

async fn health(State(service): State<Service>) -> Response {
    json(service.health.is_safe(), service.health.body())
}

/// Tells a balancer whether to send executions here. The answer is yes even if all sandboxes are
/// busy for a moment, since an execution waits for the next free sandbox.
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
    let mut response = ([(CONTENT_TYPE, "application/json")], body).into_response();
    if !good {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
    }
    response
}
