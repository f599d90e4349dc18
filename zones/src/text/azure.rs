//! Azure's JSON.

use std::path::PathBuf;
use std::sync::Arc;

use super::Read;
use crate::record::{Problem, RecordSink};

/// Reads JSON of Azure in any of its shapes.
pub fn read_azure(
    _text: &[u8],
    _file: &Arc<PathBuf>,
    _table: &config::azure::Table,
    _sink: &mut dyn RecordSink,
    _problems: &mut Vec<Problem>,
) -> Read {
    Read::default()
}
