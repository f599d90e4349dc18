//! Postern: sockets.
