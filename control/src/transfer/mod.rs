//! Zones from server to server: AXFR and IXFR (RFC 5936, RFC 1995), NOTIFY (RFC 1996).
//!
//! ```text
//! secondary ── AXFR, IXFR ──▶ outgoing ── zone, history
//! primary ◀── SOA, IXFR, AXFR ── secondary ─ incoming ─▶ zones::edit (as any other change)
//!         ──── NOTIFY ────▶ secondary        notify ──── NOTIFY ────▶ secondaries of ours
//! ```
//! [`outgoing`] and [`incoming`] do no I/O.

pub mod incoming;
pub mod outgoing;
