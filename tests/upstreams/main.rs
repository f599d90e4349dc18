//! Keys of upstreams, on the real program in front of scripted upstreams.

mod denials;
#[path = "../harness/mod.rs"]
mod harness;
mod script;
mod source;
mod switches;
