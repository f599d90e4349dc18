//! Names that divert questions from the names below them: zone cuts and DNAMEs. Loading and editing a zone share this rule.

/// Effect of a name on the names below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameDiversion {
    /// None: the names below are the zone's own.
    Nothing,
    /// The names below belong to another zone. Records there are glue.
    Cut,
    /// The names below are redirected, so that no record may stand there (RFC 6672 section 2.4).
    Dname,
}

impl NameDiversion {
    /// The effect of a name with these types. Returns `None` for DNAME beside NS below the apex, which no zone may have. A wildcard is no
    /// zone cut. Its DNAME redirects the names literally below it (RFC 6672 section 3.3).
    pub fn of(has_dname: bool, has_ns: bool, is_apex: bool, is_wildcard: bool) -> Option<Self> {
        match (has_dname, has_ns && !is_apex && !is_wildcard) {
            (true, true) => None,
            (true, false) => Some(Self::Dname),
            (false, true) => Some(Self::Cut),
            (false, false) => Some(Self::Nothing),
        }
    }
}
