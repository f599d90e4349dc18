//! Sources of zones: the one writer that each zone has.
//!
//! Files and the API are sources of their own. Every other source is a feed: a task that copies the
//! zone from another system and hands in its changes as edits. [`FeedKind`] describes what the rest
//! of the server must know about a kind of feed, so that nothing else distinguishes them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::override_line::OverrideLine;

/// The one writer of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ZoneSource {
    /// Files, which are watched.
    Files(FileSource),
    /// The API and RFC 2136 updates, stored in a journal in [`Server::state`](super::ServerConfig::state).
    Api,
    /// Another system. Its data is stored in a journal as for the API.
    Feed(FeedSource),
}

/// Files with the records of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileSource {
    /// One file. Its format is detected from the content unless it is set.
    File {
        /// Path, relative to the directory of the configuration file.
        path: PathBuf,
        /// Format of the content.
        format: SourceFormat,
    },
    /// A watched directory with `<name>.zone` (or another name of a zone file), `<name>.hosts` and
    /// `<name>.json`. The zones of a preset share all `*.json` and `*.hosts`. Without files, the
    /// zone is empty.
    Directory {
        /// Path, relative to the directory of the configuration file.
        path: PathBuf,
    },
    /// Lines of overrides that stand in the configuration file itself.
    Lines {
        /// The configuration file.
        path: PathBuf,
        /// Lines in file order, without those that had an error.
        lines: Arc<[OverrideLine]>,
    },
}

/// Format of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceFormat {
    /// Detected from the file name and the first bytes.
    Auto,
    /// A zone file (RFC 1035).
    Zone,
    /// A hosts file: lines of `address name…`.
    Hosts,
    /// Any of the JSON formats of Azure and its tools, of Windows DNS, and of Route 53.
    Azure,
    /// Lines of overrides. Only `[[override]]` has it.
    Overrides,
}

/// A system that a feed copies a zone from. One variant for each kind of feed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeedSource {
    /// Other name servers, through AXFR and IXFR.
    Transfer {
        /// Primary servers in the order in which they are tried.
        primaries: Vec<SocketAddr>,
    },
    /// Private endpoints of Azure.
    Azure {
        /// Name of the reader that reads them.
        reader: String,
    },
}

/// Properties of a kind of feed, the same for all zones that have one.
#[derive(Debug, PartialEq, Eq)]
pub struct FeedKind {
    /// Its word in the API, in messages and in the audit log.
    pub word: &'static str,
    /// Value of the `writer` label of metrics.
    pub label: &'static str,
    /// The writer of a zone, as the object of a sentence.
    pub writer: &'static str,
    /// The origin of a zone's records in the table of `postern check`.
    pub origin: &'static str,
    /// Reason why a zone has no data before the feed brought it for the first time.
    pub never_fetched: &'static str,
    /// Reason why a zone has no data if the feed was silent for longer than the zone's SOA allows.
    /// `None` if the data of such a feed does not expire.
    pub expired: Option<&'static str>,
    /// Set if the feed brings the serial of the zone, which is then never changed here.
    pub keeps_serial: bool,
    /// Set if an edit of the feed that removes too many names is rejected until the operator accepts it.
    pub is_guarded: bool,
}

/// Zones of other name servers.
pub static TRANSFER: FeedKind = FeedKind {
    word: "transfer",
    label: "primary",
    writer: "its primary",
    origin: "its primaries",
    never_fetched: "it was not transferred from its primary yet",
    expired: Some("it was not heard from its primary for longer than its SOA allows (EXPIRE)"),
    keeps_serial: true,
    is_guarded: false, // a primary means what it sends
};

/// Zones with the private endpoints of Azure.
pub static AZURE: FeedKind = FeedKind {
    word: "azure",
    label: "azure-reader",
    writer: "the Azure reader",
    origin: "Azure",
    never_fetched: "it was not read from Azure yet",
    expired: None,
    keeps_serial: false,
    is_guarded: true,
};

impl ZoneSource {
    /// Returns the files of the zone. Returns `None` if its records are in a journal.
    pub fn files(&self) -> Option<&FileSource> {
        match self {
            Self::Files(files) => Some(files),
            Self::Api | Self::Feed(_) => None,
        }
    }

    /// Returns the system that the zone is copied from. Returns `None` if it is not a copy.
    pub fn feed(&self) -> Option<&FeedSource> {
        match self {
            Self::Feed(feed) => Some(feed),
            Self::Files(_) | Self::Api => None,
        }
    }

    /// Returns true if the records of the zone are stored in a journal of the server.
    pub fn is_journaled(&self) -> bool {
        self.files().is_none()
    }

    /// Returns true if the source brings the serial of the zone, which is then never changed here.
    pub fn keeps_serial(&self) -> bool {
        self.feed().is_some_and(|feed| feed.kind().keeps_serial)
    }

    /// Names the writer in messages about the configuration, as a subject with its verb.
    pub fn writes_the_zone(&self) -> String {
        match self {
            Self::Files(_) => "files write the zone".into(),
            Self::Api => "the API writes the zone".into(),
            Self::Feed(feed) => format!("{} writes the zone", feed.kind().writer),
        }
    }
}

impl FileSource {
    /// Returns the file or the directory.
    pub fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } | Self::Directory { path } | Self::Lines { path, .. } => path,
        }
    }

    /// Returns true for a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory { .. })
    }
}

impl FeedSource {
    /// Returns the properties of feeds of this kind.
    pub fn kind(&self) -> &'static FeedKind {
        match self {
            Self::Transfer { .. } => &TRANSFER,
            Self::Azure { .. } => &AZURE,
        }
    }

    /// Returns the addresses of the system as text, separated by commas, or the name of its reader.
    pub fn addresses(&self) -> String {
        match self {
            Self::Transfer { primaries } => primaries.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Self::Azure { reader } => reader.clone(),
        }
    }

    /// Returns the name of the `[[azure]]` that the zone has its records from. Returns `None` for other kinds of feeds.
    pub fn azure_reader(&self) -> Option<&str> {
        match self {
            Self::Transfer { .. } => None,
            Self::Azure { reader } => Some(reader),
        }
    }

    /// Returns the primary servers of a transferred zone. Returns `None` for other kinds of feeds.
    pub fn primaries(&self) -> Option<&[SocketAddr]> {
        match self {
            Self::Transfer { primaries } => Some(primaries),
            Self::Azure { .. } => None,
        }
    }
}
