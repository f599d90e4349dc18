//! Positions of the parts of a configuration in its file, for the checks after parsing.

/// Positions of the parts of a configuration in its file, as byte offsets, in the order of the
/// configuration.
#[derive(Debug, Default)]
pub(crate) struct ConfigPlaces {
    pub(crate) listen: Vec<usize>,
    pub(crate) allow: Vec<usize>,
    pub(crate) deny: Vec<usize>,
    /// Position of `server.group`.
    pub(crate) group: Option<usize>,
    /// Position of `server.state`.
    pub(crate) state: Option<usize>,
    /// Position of `server.zone-table`.
    pub(crate) zone_table: Option<usize>,
    /// Position of the first `secret` that is written in the file itself.
    pub(crate) secret: Option<usize>,
    pub(crate) networks: Vec<NetworkPlaces>,
    pub(crate) zones: Vec<ZonePlaces>,
    /// Positions of each `[[override]]`: its name or table, and the items of `network`.
    pub(crate) overrides: Vec<(usize, Vec<usize>)>,
    pub(crate) forwards: Vec<ForwardPlaces>,
    /// Keys of `[cache]`, `[limits]` and `[fallback]` that differ from their defaults, with their
    /// section and position.
    pub(crate) changed: Vec<(&'static str, &'static str, usize)>,
    pub(crate) api: ApiPlaces,
    /// Set if an unreadable route was skipped. Checks for names without a route are then
    /// impossible.
    pub(crate) routes_missing: bool,
    /// Set if an unreadable key was skipped. Checks for unknown key names are then impossible.
    pub(crate) keys_missing: bool,
}

/// Positions of a `[[network]]`.
#[derive(Debug)]
pub(crate) struct NetworkPlaces {
    pub(crate) table: usize,
    pub(crate) clients: Vec<usize>,
}

/// Positions of a zone.
#[derive(Debug, Clone)]
pub(crate) struct ZonePlaces {
    /// Position of its `name` or `preset`.
    pub(crate) name: usize,
    pub(crate) networks: Vec<usize>,
    /// Set if the zone comes from a preset.
    pub(crate) preset: bool,
    /// Positions of the items of `transfer-to`.
    pub(crate) transfer_to: Vec<usize>,
    pub(crate) notify: Option<usize>,
    pub(crate) transfer_key: Option<usize>,
    pub(crate) hold_deleted: Option<usize>,
    /// Positions of `max-loss` and `allow-empty`, which have no effect for a zone with `primaries`.
    pub(crate) guard: [(&'static str, Option<usize>); 2],
}

/// Positions of a route.
#[derive(Debug)]
pub(crate) struct ForwardPlaces {
    pub(crate) zone: usize,
    pub(crate) networks: Vec<usize>,
    pub(crate) upstreams: Vec<usize>,
    pub(crate) select: Option<usize>,
    pub(crate) timeout: usize,
    pub(crate) retransmit_max: Option<usize>,
}

/// Positions of `[api]`.
#[derive(Debug, Default)]
pub(crate) struct ApiPlaces {
    pub(crate) listen: Vec<usize>,
    pub(crate) key_file: Option<usize>,
    pub(crate) certificate: Option<usize>,
    pub(crate) private_key: Option<usize>,
    pub(crate) client_ca: Option<usize>,
}
