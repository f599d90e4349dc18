//! Metrics for Prometheus, and the pages that probes look at. Neither needs a key, and neither says who asked for what.
//!
//! | page | |
//! |---|---|
//! | `/metrics` | everything that is counted: [`table`] |
//! | `/health`, `/livez` | 200 while every thread runs, and every task that takes connections, messages or transfers |
//! | `/ready`, `/readyz` | 200 while it should be asked, with what is not as it should be; 503 else, and with `?strict` wherever something is wrong |
//!
//! They are on the listener of `[metrics]`, and on that of the API.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{FromRef, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::Control;

mod collect;
mod listen;
mod page;
mod process;
pub mod table;

pub(crate) use listen::CONNECTIONS;
pub use listen::{Metrics, MetricsSockets, bind, start};

/// The pages.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S>
where
    Arc<Control>: FromRef<S>,
{
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/livez", get(health))
        .route("/ready", get(ready))
        .route("/readyz", get(ready))
}

async fn metrics(State(control): State<Arc<Control>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, page::CONTENT_TYPE)], collect::page(&control))
}

async fn health(State(control): State<Arc<Control>>) -> Response {
    let health = control.health();
    let ended = health.failing.iter().take(health.ended).map(String::as_str);
    tell(if health.ended == 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, "alive", ended)
}

async fn ready(State(control): State<Arc<Control>>, RawQuery(query): RawQuery) -> Response {
    let health = control.health();
    let is_strict = query.is_some_and(|query| query.split('&').any(|word| matches!(word, "strict" | "strict=1" | "strict=true")));
    let is_ready = health.failing.is_empty() && (health.degraded.is_empty() || !is_strict);
    tell(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, "ready", health.lines())
}

/// `ready` or `not ready`, then what there is to say, a line each.
fn tell<'l>(status: StatusCode, what: &str, lines: impl Iterator<Item = &'l str>) -> Response {
    let mut text = if status == StatusCode::OK { format!("{what}\n") } else { format!("not {what}\n") };
    for line in lines {
        text += &line.replace('\n', " ");
        text.push('\n');
    }
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// As Prometheus has times.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
