//! Everything beside the files that reading sources needs to know.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postern_config::azure::Table;
use postern_config::model::ZoneNames;

use super::kept::Keeper;
use crate::network::Clients;
use crate::source::OpenWriters;
use crate::state_directory::StateDirectory;

/// What reading needs to know beside the files.
#[derive(Debug)]
pub struct Context {
    pub(super) table: Arc<Table>,
    pub(super) poll: Duration,
    pub(super) settle: Duration,
    pub(super) clients: Option<Arc<Clients>>,
    /// Who writes which files now, as events report it.
    pub(super) writers: Arc<OpenWriters>,
    /// Files are read as they are, and nothing is waited for: a check.
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
