//! The zone table, asked with names as the path has them.

use postern_config::azure::PrivateLinkTable;
use postern_zones::name::NameBuf;

/// The private-link names that a public name may stand for, most likely first. Off the hot path.
pub fn private_names(table: &PrivateLinkTable, name: &NameBuf) -> Vec<NameBuf> {
    if !is_known_public(table, name) {
        return Vec::new();
    }
    let public = name.to_string();
    table.private_names(public.trim_end_matches('.')).iter().filter_map(|name| NameBuf::parse(name).ok()).collect()
}

/// True where the zone table knows this name as the public name of a private-link service. Allocates nothing.
pub fn is_known_public(table: &PrivateLinkTable, name: &NameBuf) -> bool {
    table.knows_public_wire((0..name.labels()).map(|label| name.suffix(label)))
}
