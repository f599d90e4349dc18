//! Simulated public Azure DNS and faulty upstreams.
//!
//! A [`Scenario`] lists the names of the public DNS (chains, wildcards, SOA for negative answers)
//! and the faults that affect them ([`Fault`]). A [`Lab`] answers from it over UDP and TCP on its
//! own thread, so that plain `#[test]` code can use it:
//!
//! ```
//! use postern_lab::{Fault, Lab, Scenario};
//!
//! let lab = Lab::start(Scenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
//! lab.set(vec![Fault::suffix("azurehealthcareapis.com").silent()]); // from now on
//! println!("forward to {}, seen so far: {}", lab.address(), lab.counters());
//! ```
//!
//! ```text
//! datagram or frame ─ Request (hickory) ─ counters ─ Fate of this question ─┬─ Public: honest answer, a hickory RequestHandler
//!                                          (seeded)                        └─ forge: corrupted bytes ─ delay ─ send
//! ```
//!
//! hickory-server's own listeners cannot send a wrong ID or a malformed message. The lab therefore
//! has its own transport and runs the handler behind it. The lab does not validate, cache or
//! iterate: it answers as a resolver with a full cache.
//!
//! Reading order: `scenario`, `fault`, `answer`, `forge`, `server`, `counters`. The module `sample`
//! holds the zones and the tour of `postern serve --lab`.
#![forbid(unsafe_code)]

mod answer;
mod counters;
mod fault;
mod forge;
mod record_text;
pub mod sample;
mod scenario;
mod server;

pub use answer::{Public, Twist};
pub use counters::{Arrival, Asked, Counters};
pub use fault::{Delay, Edns, Fate, Forgery, TcpFault, Transport, Window};
pub use fault::{Fault, Scope};
pub use hickory_proto::op::ResponseCode;
pub use hickory_proto::rr::RecordType;
pub use sample::{Sample, sample, tour};
pub use scenario::{Problem, ReadError, Scenario};
pub use server::Lab;
