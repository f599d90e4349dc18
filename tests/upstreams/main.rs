//! Keys of upstreams, on the real program in front of scripted upstreams.

#[path = "../harness/mod.rs"]
mod harness;
mod script;
mod source;
mod switches;
