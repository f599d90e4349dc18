//! Simulated public Azure DNS and faulty upstreams.
//!
//! A [`LabScenario`] lists the names of the public DNS (chains, wildcards, SOA for negative answers)
//! and the faults that affect them ([`LabFault`]). A [`LabServer`] answers from it over UDP and TCP on its
//! own thread, so that plain `#[test]` code can use it:
//!
//! ```
//! use postern_lab::{LabFault, LabScenario, LabServer};
//!
//! let lab = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
//! lab.set(vec![LabFault::suffix("azurehealthcareapis.com").silent()]); // from now on
//! println!("forward to {}, seen so far: {}", lab.address(), lab.counters());
//! ```
//!
//! ```text
//! datagram or frame ─ Request (hickory) ─ counters ─ QuestionFate ─┬─ PublicDns: honest answer, a hickory RequestHandler
//!                                          (seeded)      └─ forge: corrupted bytes ─ delay ─ send
//! ```
//!
//! hickory-server's own listeners cannot send a wrong ID or a malformed message. The lab therefore
//! has its own transport and runs the handler behind it. The lab does not validate, cache or
//! iterate: it answers as a resolver with a full cache.
//!
//! Reading order: `scenario`, `fault`, `answer`, `forge`, `server`, `counters`. The module `sample`
//! holds the zones and the tour of `postern serve --lab`. The module [`azure`] simulates the APIs that
//! private endpoints are read from.
#![forbid(unsafe_code)]

mod answer;
pub mod azure;
mod counters;
mod fault;
mod forge;
mod health_service;
mod record_text;
pub mod sample;
mod scenario;
mod server;

pub use answer::{AnswerTwist, PublicDns};
pub use counters::{LabCounters, QuestionArrival, QuestionCount};
pub use fault::{AnswerDelay, AnswerForgery, EdnsFault, FaultWindow, QuestionFate, QuestionTransport, TcpFault};
pub use fault::{FaultScope, LabFault};
pub use health_service::{HealthService, HealthServiceSettings};
pub use hickory_proto::op::ResponseCode;
pub use hickory_proto::rr::RecordType;
pub use sample::{LabSample, sample, tour, tour_words};
pub use scenario::{LabScenario, ScenarioError, ScenarioProblem};
pub use server::LabServer;
