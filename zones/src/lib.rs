//! Private zones, networks, sources and snapshots: from files to what a query looks up.
//!
//! ```text
//! files ─ watch ─▶ store ─ source, text ─▶ ZoneBuilder ─▶ Zone ─┐
//!                    │   (what is bad changes nothing)          ├─▶ Snapshot ─▶ network of a client ─▶ zone of a name ─▶ lookup
//! configuration ─────┘              networks, links, policies ──┘
//! ```
//! A [`Zone`](zone::Zone) answers by RFC 1034, 2308, 4592 and 6672 and knows nothing of queries, caches or forwarding. A
//! [`Snapshot`](snapshot::Snapshot) is immutable and swapped whole. The [`Store`](store::Store) reads and judges sources, the
//! [`Watch`](watch::Watch) says when to look.
//!
//! Reading order, which is the order of dependence: [`name`], [`record`], [`text`], [`lookup`], [`zone`], [`network`], [`origin`],
//! [`snapshot`], then [`source`], [`store`], [`watch`]. Beside them, [`lint`] and [`diff`] judge, [`edit`] is how an API changes a zone,
//! [`journal`]
//! keeps what it wrote in the [`state_directory`], [`histogram`] counts how long things take.
//!
//! ```
//! use postern_config::model::{OnMissing, RecursionPolicy};
//! use postern_zones::lookup::Lookup;
//! use postern_zones::name::{NameBuf, WireName};
//! use postern_zones::snapshot::SnapshotBuilder;
//! use postern_zones::zone::ZoneBuilder;
//!
//! let mut zone = ZoneBuilder::new(WireName::parse("privatelink.contoso.test")?);
//! zone.add("ws", 10, "A", "10.20.1.4")?;
//! let zone = zone.finish(1).map_err(|problems| problems[0].to_string())?.zone;
//! let snapshot = SnapshotBuilder::new()
//!     .network("hub", &["10.20.0.0/16".parse()?], RecursionPolicy::Yes)
//!     .zone(zone, &["hub"], OnMissing::Public)
//!     .build();
//!
//! let network = snapshot.network(snapshot.network_of("10.20.0.7".parse()?));
//! let name = NameBuf::parse("ws.privatelink.contoso.test")?;
//! let zone = network.zone_of(&name, 0).and_then(|hosted| hosted.zone()).ok_or("hosted above")?;
//! assert!(matches!(zone.lookup(&name, 1), Lookup::Found { set, .. } if set.rdata().eq([[10, 20, 1, 4]])));
//! assert!(matches!(zone.lookup(&name, 28), Lookup::NoData)); // AAAA: never the public data
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod authority;
pub mod compression;
pub mod diff;
pub mod edit;
pub mod histogram;
mod history;
pub mod journal;
pub mod lint;
pub mod lookup;
mod memory;
pub mod name;
pub mod network;
pub mod origin;
pub mod record;
mod settings;
pub mod snapshot;
pub mod source;
mod source_state;
mod spelling;
mod stamp;
pub mod state_directory;
pub mod store;
pub mod text;
pub mod watch;
pub mod zone;
mod zone_ref;
