//! `/v1/fallbacks/stream`: fallbacks as they happen.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use http_body_util::channel::Channel;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::Refusals;
use super::fallbacks::FallbackFilter;
use crate::Control;
use crate::http::{Caller, Problem, Query, Revoked, Stopping};

/// When the stream ends.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Length {
    /// After so many fallbacks; absent: never.
    limit: Option<u64>,
}

/// A line of comment so often: so that both sides see when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events on their way to one reader, beside those that [`postern_dns::fallback::FallbackRecorder::watch`] keeps for it.
const UNDER_WAY: usize = 16;

/// Streams fallbacks as they happen (server-sent events).
///
/// `event: fallback` carries one line of the fallback record; of repetitions that come faster there is one a second. `event: lost` says how
/// many a reader missed that was too slow.
#[utoipa::path(get, path = "/v1/fallbacks/stream", operation_id = "stream_fallbacks", tag = "insight", params(FallbackFilter, Length),
    responses((status = 200, body = String, content_type = "text/event-stream"), Refusals))]
pub(super) async fn stream(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Extension(mut stopping): Extension<Stopping>,
    Extension(revoked): Extension<Revoked>,
    Query(filter): Query<FallbackFilter>,
    Query(length): Query<Length>,
) -> Result<Response, Problem> {
    caller.must_see_all()?;
    let filter = filter.checked()?.known_in(&control.state.load().snapshot)?;
    let mut events = control.recorder.watch();
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(UNDER_WAY);
    tokio::spawn(async move {
        let mut revoked = std::pin::pin!(revoked.wait());
        let mut left = length.limit;
        let mut keep_alive = tokio::time::interval(KEEP_ALIVE); // at once, at first: the reader sees that it is on
        while left != Some(0) {
            let line = tokio::select! {
                event = events.recv() => match event {
                    Ok(event) if filter.takes(&event) => {
                        left = left.map(|left| left - 1);
                        format!("event: fallback\ndata: {}\n\n", event.to_json())
                    }
                    Ok(_) => continue,
                    Err(RecvError::Lagged(count)) => format!("event: lost\ndata: {{\"count\":{count}}}\n\n"),
                    Err(RecvError::Closed) => break,
                },
                _ = keep_alive.tick() => ":\n\n".into(),
                () = stopping.wait() => break,
                () = revoked.as_mut() => break, // it is no business of that key any more
            };
            if sender.send_data(line.into()).await.is_err() {
                break; // the reader is gone
            }
        }
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::new(body)).into_response())
}
