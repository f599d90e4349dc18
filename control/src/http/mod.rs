//! The HTTP listener. It serves the interfaces that [`crate::start_http`] hands to it, and knows none of them.
//!
//! ```text
//! bind ─▶ Bound ─ start ─▶ Http ─ reconfigure (keys, certificates, bounds) ─ stop
//!
//! connection (TLS, UNIX socket) ─ rate ─ who asks (Caller) ─ router of an Interface ─ Problem where it is refused
//! ```
//! A router takes [`Shared`] for its state ([`std::sync::Arc<Control>`] and `HttpSettings` come out of it), [`Caller`] for who asks, and answers with
//! [`Problem`] where it refuses. Who has no valid key is told so by the `Caller` extractor; a handler without it is open to everybody.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::Control;

mod busy;
mod caller;
mod extract;
mod host;
mod interface;
mod keys;
mod listen;
mod part;
mod patience;
mod peer;
mod problem;
mod rate;
mod rights;
mod settings;

pub(crate) use busy::BusyPlace;
pub use caller::{Caller, Identity, Revoked};
pub(crate) use extract::one_of;
pub use extract::{Body, Path, Query, read, read_json};
pub(crate) use host::require_one as require_one_host;
pub(crate) use interface::{ErrorForm, Interface};
pub use keys::{BadKeys, NewKey, check as check_keys};
pub(crate) use listen::start;
pub(crate) use listen::{BACKLOG, SOCKET_CONNECTIONS};
pub use listen::{Http, HttpBindError, HttpSockets, Stopping, bind, check};
pub use part::part;
pub use problem::{Problem, RequestFault};
pub(crate) use problem::{say_when, status_of};
pub use rights::KeyRights;

/// State that all handlers share.
#[derive(Clone)]
pub struct Shared {
    /// The server.
    pub control: Arc<Control>,
    /// Settings that a reload can change.
    pub(crate) settings: Arc<settings::HttpSettings>,
}

impl FromRef<Shared> for Arc<Control> {
    fn from_ref(shared: &Shared) -> Self {
        shared.control.clone()
    }
}
