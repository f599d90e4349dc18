//! Listeners: where questions come in and answers leave.

pub mod tcp;
