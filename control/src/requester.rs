//! The sender of a message that the query path does not answer.

use std::sync::Arc;

use crate::tsig::{Signer, TsigKey};

/// The sender of a message, known by its keys.
#[derive(Debug)]
pub struct Requester {
    /// The keys that are the client's: the one it signed with, or those it needs no signature for.
    pub keys: Vec<Arc<TsigKey>>,
    /// Signs the answer.
    pub signer: Option<Signer>,
}
