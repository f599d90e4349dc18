//! Postern: bench.
