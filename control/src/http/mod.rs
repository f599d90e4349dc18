//! The HTTP listener: every interface that speaks HTTP is a router merged here.
//!
//! ```text
//! bind ─▶ Bound ─ start ─▶ Http ─ reconfigure (keys, certificates, bounds) ─ stop
//!
//! connection (TLS, UNIX socket) ─ rate ─ who asks (Caller) ─ router ─ Problem where it is refused
//! ```
//! A router takes [`Shared`] for its state ([`std::sync::Arc<Control>`] and `Settings` come out of it), [`Caller`] for who asks, and answers with
//! [`Problem`] where it refuses. Who has no valid key is told so by the `Caller` extractor; a handler without it is open to everybody.

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;

use crate::Control;

mod busy;
mod caller;
mod extract;
mod files;
mod host;
mod keys;
mod listen;
mod part;
mod patience;
mod peer;
mod problem;
mod rate;
mod rights;
mod settings;
mod tls;

pub(crate) use busy::BusyPlace;
pub use caller::{Caller, Identity, Revoked};
pub(crate) use extract::one_of;
pub use extract::{Body, Path, Query, read, read_json};
pub(crate) use host::require_one as require_one_host;
pub use keys::{BadKeys, NewKey, check as check_keys};
pub(crate) use listen::{BACKLOG, SOCKET_CONNECTIONS};
pub use listen::{BindError, Bound, Http, Stopping, bind, check, start};
pub use part::part;
pub use problem::{Fault, Problem};
pub(crate) use problem::{say_when, status_of};
pub use rights::Rights;

/// What handlers share.
#[derive(Clone)]
pub struct Shared {
    /// The server.
    pub control: Arc<Control>,
    /// What a reload may change.
    pub(crate) settings: Arc<settings::Settings>,
}

impl FromRef<Shared> for Arc<Control> {
    fn from_ref(shared: &Shared) -> Self {
        shared.control.clone()
    }
}

/// Every interface on one listener: one line each.
fn routes() -> Router<Shared> {
    Router::new().merge(crate::v1::routes()).merge(crate::powerdns::routes()).merge(crate::metrics::routes())
}

/// The routes behind what holds for all of them.
fn router(shared: Shared) -> Router {
    let identify = axum::middleware::from_fn_with_state(shared.clone(), caller::identify);
    let bound = axum::middleware::from_fn_with_state(shared.clone(), rate::bound);
    let host = axum::middleware::from_fn(require_one_host);
    let reword = axum::middleware::from_fn(crate::powerdns::reword);
    routes()
        .layer(axum::middleware::map_response(problem::fill_in))
        .layer(identify)
        .layer(bound)
        .layer(host)
        .layer(reword)
        .with_state(shared)
}
