//! Postern: lab.
