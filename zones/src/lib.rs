//! Private zones, networks, sources and snapshots.
#![forbid(unsafe_code)]

pub mod diff;
pub mod journal;
pub mod lint;
pub mod lookup;
pub mod name;
pub mod network;
pub mod record;
pub mod snapshot;
pub mod source;
pub mod store;
pub mod text;
pub mod watch;
pub mod zone;
