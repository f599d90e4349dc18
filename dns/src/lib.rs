//! Postern: dns.
