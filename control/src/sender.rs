//! Who sent a message.

use std::sync::Arc;

use crate::tsig::{Key, Signer};

/// Who sent a message.
#[derive(Debug)]
pub struct Sender {
    /// The keys that are the client's: the one it signed with, or those it needs no signature for.
    pub keys: Vec<Arc<Key>>,
    /// Signs the answer.
    pub signer: Option<Signer>,
}
