//! Origins of zones: who writes a zone, in which file, and through what it can be edited.
//!
//! A [`ZoneOrigin`] is made once for each zone. Everything that depends on the kind of a zone's source asks it, so that a new kind of
//! source needs no change elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_config::model::{self, FeedKind, FileSource, SourceFormat, ZoneSource};

use crate::name::{NameBuf, WireName};
use crate::text::rdata::type_name;
use crate::zone::{DEFAULT_TTL, rtype};

/// The origin of a zone's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneOrigin {
    writer: ZoneWriter,
    /// The writer in messages: a file, a directory, or a server with its address.
    name: Arc<str>,
}

/// A file that a zone has records from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileShare {
    /// Path of the file.
    pub path: Arc<PathBuf>,
    /// Format of its content.
    pub format: SourceFormat,
    /// Records that the zone has from it, repeated ones included.
    pub records: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ZoneWriter {
    /// A test, without a source.
    Memory,
    /// The file that new records belong in, whether it exists or not. The format is never [`SourceFormat::Auto`].
    File(Arc<Path>, SourceFormat),
    Api,
    Feed(&'static FeedKind),
}

impl ZoneOrigin {
    /// Returns the origin of a zone of the configuration. New records belong in the file of `files` that most of its records come from,
    /// otherwise in the file that the source names.
    pub fn new(zone: &model::ZoneConfig, files: &[FileShare]) -> Self {
        match &zone.source {
            ZoneSource::Files(source) => {
                let name = match source {
                    FileSource::File { path, .. } | FileSource::Lines { path, .. } => format!("file {}", path.display()),
                    FileSource::Directory { path } => format!("files in {}", path.display()),
                };
                let most = files.iter().map(|file| file.records).max();
                let largest = files.iter().find(|file| Some(file.records) == most);
                let (path, format) = match (largest, source) {
                    (Some(file), _) => (file.path.as_path().into(), file.format),
                    (None, FileSource::File { path, format }) => (path.as_path().into(), *format),
                    (None, FileSource::Lines { path, .. }) => (path.as_path().into(), SourceFormat::Overrides),
                    (None, FileSource::Directory { path }) => (path.join(zone_file(&zone.name)).into(), SourceFormat::Zone),
                };
                Self { name: name.into(), ..Self::file_of(path, format) }
            }
            ZoneSource::Api => Self::api(),
            ZoneSource::Feed(feed) => {
                let name = format!("{} {}", feed.kind().writer, feed.addresses()).into();
                Self { name, ..Self::feed_of(feed.kind()) }
            }
        }
    }

    /// Returns the origin of a zone that a test made.
    pub fn memory() -> Self {
        Self { writer: ZoneWriter::Memory, name: "a test".into() }
    }

    /// Returns the origin of a zone that the API writes.
    pub fn api() -> Self {
        Self { writer: ZoneWriter::Api, name: "the API".into() }
    }

    /// Returns the origin of a zone with its records in one file.
    pub fn file_of(path: Arc<Path>, format: SourceFormat) -> Self {
        let name = format!("file {}", path.display()).into();
        let format = if format == SourceFormat::Auto { SourceFormat::Zone } else { format };
        Self { writer: ZoneWriter::File(path, format), name }
    }

    /// Returns the origin of a zone that a feed of this kind brings.
    pub fn feed_of(kind: &'static FeedKind) -> Self {
        Self { writer: ZoneWriter::Feed(kind), name: kind.writer.into() }
    }

    /// Returns the value of the `writer` label of metrics.
    pub fn label(&self) -> &'static str {
        match &self.writer {
            ZoneWriter::Memory => "memory",
            ZoneWriter::File(_, SourceFormat::Hosts) => "hosts",
            ZoneWriter::File(_, SourceFormat::Azure) => "azure",
            ZoneWriter::File(_, SourceFormat::Overrides) => "override",
            ZoneWriter::File(_, SourceFormat::Zone | SourceFormat::Auto) => "zone-file",
            ZoneWriter::Api => "api",
            ZoneWriter::Feed(kind) => kind.label,
        }
    }

    /// Returns the kind of writer as the API shows it.
    pub fn word(&self) -> &'static str {
        match &self.writer {
            ZoneWriter::Memory => "none",
            ZoneWriter::File(..) => "file",
            ZoneWriter::Api => "api",
            ZoneWriter::Feed(kind) => kind.word,
        }
    }

    /// Names the writer in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the file that new records belong in. Returns `None` if the records are in no file.
    pub fn file(&self) -> Option<&Arc<Path>> {
        match &self.writer {
            ZoneWriter::File(path, _) => Some(path),
            ZoneWriter::Memory | ZoneWriter::Api | ZoneWriter::Feed(_) => None,
        }
    }

    /// Returns the kind of the feed that brings the zone. Returns `None` if the zone is not a copy.
    pub fn feed(&self) -> Option<&'static FeedKind> {
        match &self.writer {
            ZoneWriter::Feed(kind) => Some(kind),
            ZoneWriter::Memory | ZoneWriter::File(..) | ZoneWriter::Api => None,
        }
    }

    /// Returns true if the zone is an export of Azure, which no one edits by hand.
    pub fn is_export(&self) -> bool {
        matches!(self.writer, ZoneWriter::File(_, SourceFormat::Azure))
    }

    /// Returns true if edits of this writer are accepted: those of the zone's own feed, and those of any interface (`None`) unless
    /// files or a feed write the zone.
    pub fn accepts_edits_of(&self, feed: Option<&FeedKind>) -> bool {
        match &self.writer {
            ZoneWriter::Feed(kind) => feed == Some(kind),
            ZoneWriter::Memory | ZoneWriter::Api => true,
            ZoneWriter::File(..) => false,
        }
    }

    /// Returns the line that adds a record to the zone, complete except for the address or host name. Returns `None` if no line can add it:
    /// an export is not edited, and a hosts file has no PTR records.
    pub fn record_line(&self, apex: &WireName, owner: &NameBuf, rtype: u16) -> Option<String> {
        match &self.writer {
            ZoneWriter::File(_, SourceFormat::Azure) => None,
            ZoneWriter::File(_, SourceFormat::Hosts) if rtype == rtype::PTR => None,
            ZoneWriter::File(_, SourceFormat::Hosts) => Some(format!("<private address> {}", owner.without_dot())),
            ZoneWriter::Memory | ZoneWriter::File(..) | ZoneWriter::Api | ZoneWriter::Feed(_) => Some(zone_file_line(apex, owner, rtype)),
        }
    }
}

/// Returns the line of a zone file that adds a record, complete except for the address or host name.
pub fn zone_file_line(apex: &WireName, owner: &NameBuf, rtype: u16) -> String {
    let relative = owner.labels() - apex.labels().min(owner.labels());
    let value = if rtype == rtype::PTR { "<host name>." } else { "<private address>" };
    let owner = if relative == 0 { "@".into() } else { owner.first_labels(relative) };
    format!("{owner} {DEFAULT_TTL} IN {} {value}", type_name(rtype))
}

/// The zone file of a zone in a directory.
fn zone_file(name: &str) -> String {
    if name == "." { "root.zone".into() } else { format!("{name}.zone") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_line_can_be_pasted() {
        let apex = WireName::parse("privatelink.contoso.test").unwrap();
        let file = |format| ZoneOrigin::file_of(Path::new("f").into(), format);
        for (origin, asked, rtype, line) in [
            (file(SourceFormat::Zone), "ws.fhir.privatelink.contoso.test", rtype::A, Some("ws.fhir 10 IN A <private address>")),
            (file(SourceFormat::Zone), "privatelink.contoso.test", rtype::A, Some("@ 10 IN A <private address>")),
            (file(SourceFormat::Hosts), "ws.privatelink.contoso.test", rtype::A, Some("<private address> ws.privatelink.contoso.test")),
            (file(SourceFormat::Hosts), "ws.privatelink.contoso.test", rtype::PTR, None),
            (file(SourceFormat::Azure), "ws.privatelink.contoso.test", rtype::A, None),
            (ZoneOrigin::feed_of(&model::TRANSFER), "ws.privatelink.contoso.test", rtype::PTR, Some("ws 10 IN PTR <host name>.")),
        ] {
            assert_eq!(origin.record_line(&apex, &NameBuf::parse(asked).unwrap(), rtype).as_deref(), line);
        }
    }

    #[test]
    fn only_its_own_feed_and_interfaces_edit_a_zone() {
        let file = ZoneOrigin::file_of(Path::new("f").into(), SourceFormat::Auto);
        for (origin, by_interface, by_feed) in
            [(file, false, false), (ZoneOrigin::api(), true, true), (ZoneOrigin::feed_of(&model::TRANSFER), false, true)]
        {
            let accepts = (origin.accepts_edits_of(None), origin.accepts_edits_of(Some(&model::TRANSFER)));
            assert_eq!(accepts, (by_interface, by_feed), "{}", origin.name());
        }
    }
}
