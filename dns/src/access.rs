//! Who may query, and who may have recursion.

/// Access lists.
#[derive(Debug, Default)]
pub struct Access {}
