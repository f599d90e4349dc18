//! Everything beside the files that reading sources needs to know.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postern_config::azure::PrivateLinkTable;
use postern_config::model::ZoneNames;

use super::kept::Keeper;
use crate::network::Clients;
use crate::source::OpenWriters;
use crate::state_directory::StateDirectory;

/// Settings and tables that the reading of every source shares.
#[derive(Debug)]
pub struct Context {
    pub(super) table: Arc<PrivateLinkTable>,
    pub(super) poll: Duration,
    pub(super) settle: Duration,
    pub(super) clients: Option<Arc<Clients>>,
    /// Files that a program has open for writing, as events report them.
    pub(super) writers: Arc<OpenWriters>,
    /// Set for `postern check`, which reads files as they are and waits for nothing.
    pub(super) is_inspection: bool,
    /// Keeps the last good data for the next start; none: nothing is kept.
    pub(super) keeper: Option<Arc<Keeper>>,
    /// Where journals are kept.
    pub(super) state: Arc<StateDirectory>,
    /// Largest source, bytes.
    pub(super) most: u64,
    /// Names for zones that an API makes.
    pub(super) zone_names: ZoneNames,
    /// Files that the server writes, with what their names begin with.
    pub(super) outputs: Vec<PathBuf>,
}
