//! Postern, the private way in.
fn main() {}
