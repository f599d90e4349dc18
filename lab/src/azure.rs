//! Simulated Azure: the token endpoints and Resource Graph, with the private endpoints of an invented company.
//!
//! ```text
//! GET  /metadata/identity/oauth2/token      managed identity (IMDS)     ─┐
//! POST /{tenant}/oauth2/v2.0/token          Entra ID                    ─┴─▶ tokens ─▶ Authorization: Bearer …
//! POST /providers/Microsoft.ResourceGraph/resources                     ──▶ graph ─▶ rows of the estate, page by page
//! /lab/…                                    changes the estate and the faults while the simulator runs
//! ```
//!
//! The simulator does not evaluate Kusto. It returns the resources of each type that a query names, sorted by ID, with the columns of
//! the query's last `project`. Everything else is as Azure does it: pages and `$skipToken`, quota headers and 429, tokens that expire,
//! changes that become visible late, and subscriptions that may not be read.
//!
//! Reading order: `estate`, `faults`, `graph`, `tokens`, `server`.

mod estate;
mod faults;
mod graph;
mod server;
mod tokens;

pub use estate::{AzureScenario, ConnectionState, EstateSettings, GeneratedEstate, SimulatedEndpoint, SimulatedSubscription};
pub use faults::AzureFaults;
pub use server::{AzureCounters, AzureLab};
