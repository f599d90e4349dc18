//! Answering: listeners, the path of a query, cache, upstreams.
//!
//! Start with [`query`]: the path on one page. A question is walked hop by hop ([`query::walk`]); at each name the private zones of
//! the client's network speak first, then the cache, and what neither knows is asked upstream by the resolver side. The walk is
//! repeated from the question after each upstream answer, so that private data is always the snapshot's of that moment.
//!
//! ```text
//! listen ─ wire::question ─ access ─ query::walk ─┬─ query::respond ─ listen
//!                             zones · cache       └─ resolver ─ upstream ─ accept ─ query::walk …
//! ```
//!
//! Comments cite the rules S1 to S8. ARCHITECTURE.md states them, and the tests in `dns/tests/path.rs` bear their names.
#![forbid(unsafe_code)]

pub mod accept;
pub mod access;
pub mod cache;
pub mod chain;
pub mod clock;
pub mod cookie;
pub mod counters;
mod cuts;
pub mod ede;
pub mod explain;
pub mod fallback;
pub mod listen;
mod loop_probe;
pub mod manners;
pub mod private_link;
pub mod query;
pub mod rates;
pub mod reason;
pub mod resolver;
pub mod respond;
pub mod return_path;
pub mod route;
pub mod server;
pub mod special;
pub mod state;
pub mod transport;
pub mod upstream;
pub mod vital;
pub mod wire;
