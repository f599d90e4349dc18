//! Every key of a configuration file: its default, bounds, documentation and check, in one place.
//! Keys that are not about names and clients are in `keys/operation.rs`.
//!
//! The parser, the JSON Schema, the sample and the reference are all generated from these tables. A
//! new key needs one entry here, one field in [`crate::model`], and one line in `parse.rs` that
//! converts it. Afterwards the sample must be regenerated (`postern schema --format toml`).

use crate::key::{DefaultKey, KeyRule, KeySection, OptionalKey, RequiredKey, SectionForm, section};
use crate::kind::{
    AzureNetworkId, BoundedDuration, BoundedNumber, BoundedTtl, ByteSize, ClientPrefix, DomainName, IdentityChoice, KeyAction, LineOfText,
    ListOf, ListenAddress, LogFilter, LogFormat, NamePatternText, NetworkName, OnMissing, OneOf, OneOrMore, OtherTypes, OverrideText,
    PathOrNot, PathText, PeerText, PercentShare, ProbeText, QuerySourceText, RecordType, RecursionChoice, RepeatChoice, SecretText,
    ServerAddress, ServiceUrl, SourceFormat, TrueOrFalse, TsigAlgorithm, UpstreamAddress, UpstreamDenial, UpstreamList, UpstreamOrder,
    ZoneNameText, ZonePreset,
};
use crate::model::AzureCloud;

pub(crate) use operation::{api, cache, fallback, limits, log, metrics};
pub(crate) use reader::azure;

mod operation;
mod reader;

/// The sections in the order of the sample and the reference.
pub(crate) static SECTIONS: [&KeySection; 13] = [
    &server::SECTION,
    &network::SECTION,
    &zone::SECTION,
    &overrides::SECTION,
    &azure::SECTION,
    &forward::SECTION,
    &key::SECTION,
    &cache::SECTION,
    &limits::SECTION,
    &log::SECTION,
    &fallback::SECTION,
    &api::SECTION,
    &metrics::SECTION,
];

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

section! {
    /// Listeners, identity, the user that the server runs as, and how sources are watched.
    server = "server", Table, shown: &[], rules: &[];

    /// Addresses to listen on, over UDP and TCP. The default port is 53. Port 0 means any free port.
    LISTEN "listen": ListOf<ListenAddress> = ListOf { of: ListenAddress { port: 53 }, least: 1 }, DefaultKey { default: r#"["0.0.0.0:53", "[::]:53"]"# };

    /// UDP worker threads for each address.
    WORKERS "workers": BoundedNumber<usize> = BoundedNumber { least: 1, most: 256, zero: "" },
        OptionalKey { absent: "one for each processor core", example: "2" };

    /// User that the server switches to after it has bound its sockets.
    USER "user": LineOfText = LineOfText { most: 64, about: "a user name", good: LineOfText::account },
        OptionalKey { absent: "the user that starts the server", example: r#""postern""# };

    /// Group that the server switches to.
    GROUP "group": LineOfText = LineOfText { most: 64, about: "a group name", good: LineOfText::account },
        OptionalKey { absent: "the user's own", example: r#""postern""# };

    /// Clients that may query at all. The longest prefix of `allow` and `deny` wins.
    ALLOW "allow": ListOf<ClientPrefix> = ListOf { of: ClientPrefix, least: 0 }, DefaultKey { default: "[]" };

    /// Clients that are refused.
    DENY "deny": ListOf<ClientPrefix> = ListOf { of: ClientPrefix, least: 0 }, DefaultKey { default: "[]" };

    /// Name of this server for clients that ask for it (NSID, RFC 5001).
    NSID "nsid": LineOfText = LineOfText { most: 128, about: "printable ASCII", good: LineOfText::printable },
        OptionalKey { absent: "not answered", example: r#""hub-dns-1""# };

    /// Answer to `version.bind` and `version.server`, class CH.
    VERSION "version": LineOfText = LineOfText { most: 255, about: "printable ASCII", good: LineOfText::printable },
        OptionalKey { absent: "REFUSED", example: r#""postern""# };

    /// Answer to `id.server` and `hostname.bind`, class CH (RFC 4892).
    IDENTITY "identity": LineOfText = LineOfText { most: 255, about: "printable ASCII", good: LineOfText::printable },
        OptionalKey { absent: "REFUSED", example: r#""hub-dns-1""# };

    /// Name of this server in the SOA (MNAME) of zones that are written through an API. RFC 2136 clients send their updates to it. Clients
    /// must be able to resolve it. A file without an SOA gets one with it only if the key is set.
    PRIMARY_NAME "primary-name": DomainName = DomainName,
        OptionalKey { absent: "the first of `name-servers`, otherwise the name of the host; a host name without a domain is completed with the name of the zone", example: r#""dns1.corp.contoso.com""# };

    /// Names for the NS records of zones that are written through an API. Secondaries reject a zone without NS records. A file without NS
    /// records gets them only if the key is set.
    NAME_SERVERS "name-servers": ListOf<DomainName> = ListOf { of: DomainName, least: 1 },
        OptionalKey { absent: "`primary-name`", example: r#"["dns1.corp.contoso.com", "dns2.corp.contoso.com"]"# };

    /// How often sources are checked even if no file event arrived. Network file systems send no events.
    POLL "poll": BoundedDuration = BoundedDuration { least: 100, most: HOUR, zero: "" }, DefaultKey { default: r#""10s""# };

    /// How long sources must be unchanged before they are read.
    SETTLE "settle": BoundedDuration = BoundedDuration { least: 1, most: 5_000, zero: "at once" }, DefaultKey { default: r#""20ms""# };

    /// Largest source of a zone: a file, and all files that it includes. A larger one is an error of its zone, which keeps its last good data.
    /// Reading a zone file takes about five times its size in memory.
    MAX_SOURCE_SIZE "max-source-size": ByteSize = ByteSize { least: KIB, most: 4095 * MIB, zero: "" }, DefaultKey { default: r#""256MiB""# };

    /// Refuse to start when the source of a zone is bad, instead of serving the rest.
    STRICT "strict": TrueOrFalse = TrueOrFalse, DefaultKey { default: "false" };

    /// Largest UDP answer, bytes. 1232 passes every path without fragments (RFC 9715).
    UDP_SIZE "udp-size": BoundedNumber<u16> = BoundedNumber { least: 512, most: 4096, zero: "" }, DefaultKey { default: "1232" };

    /// How long a stopping server waits for pending answers.
    DRAIN "drain": BoundedDuration = BoundedDuration { least: 1, most: 5 * MINUTE, zero: "not at all" }, DefaultKey { default: r#""5s""# };

    /// How long a stopping server keeps answering before it stops. `/ready` fails immediately, so that load balancers can remove the
    /// server.
    LAME_DUCK "lame-duck": BoundedDuration = BoundedDuration { least: 1, most: 5 * MINUTE, zero: "not at all" }, DefaultKey { default: r#""0s""# };

    /// Directory for the data that the server stores: the journals of zones that an API or a transfer writes, the last good data of
    /// sources, and muted names.
    STATE "state": PathText = PathText,
        OptionalKey { absent: "the directory from systemd (`StateDirectory=`), otherwise `state` beside this file", example: r#""/var/lib/postern""# };

    /// JSON file with rows that extend or replace those of the built-in private-link table.
    ZONE_TABLE "zone-table": PathText = PathText, OptionalKey { absent: "only the built-in table", example: r#""zone-table.json""# };
}

section! {
    /// A virtual network or site: the clients that see the same zones. A client belongs to the network with its longest prefix.
    ///
    /// Every other client belongs to the network `default`, which always exists. Declare it to set which of its clients have recursion.
    network = "network", List, shown: &[&["name", "clients", "recursion", "virtual-networks"]], rules: &[];

    /// Name of the network, by which zones and routes link to it.
    NAME "name": NetworkName = NetworkName, RequiredKey { example: r#""hub""# };

    /// Client prefixes that belong to the network. Only `default` has none.
    CLIENTS "clients": ListOf<ClientPrefix> = ListOf { of: ClientPrefix, least: 1 },
        OptionalKey { absent: "required, except for `default`", example: r#"["10.20.0.0/16", "2001:db8:20::/48"]"# };

    /// Whether the server forwards queries for its clients. `"private-clients"`: only for clients with a private, loopback, link-local, or
    /// unique local address.
    RECURSION "recursion": RecursionChoice = RecursionChoice, OptionalKey { absent: "`true`, and `\"private-clients\"` for `default`", example: "true" };

    /// Resource IDs of the virtual networks and subnets in Azure whose private endpoints the clients reach. Zones with `azure` that are
    /// linked to the network have these endpoints. The longest ID wins, so a subnet can belong to another network than the rest.
    VIRTUAL_NETWORKS "virtual-networks": ListOf<AzureNetworkId> = ListOf { of: AzureNetworkId, least: 1 },
        OptionalKey { absent: "the endpoints of all virtual networks", example: r#"["/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub"]"# };
}

section! {
    /// A private zone, served from local data and linked to one or more networks. It has one writer: watched files, an API, or another
    /// server.
    ///
    /// The same name may be given several times with other records, each linked to other networks.
    zone = "zone", List,
        shown: &[
            &["preset", "network", "directory", "on-missing", "fallback", "min-ttl", "max-ttl"],
            &["name", "network", "file", "format", "max-loss", "allow-empty"],
            &["name = \"corp.contoso.com\"", "network", "api", "hold-deleted", "transfer-to", "notify", "primary-name", "name-servers"],
            &["name = \"ad.contoso.com\"", "network", "primaries", "transfer-key"],
            &["name = \"privatelink.vaultcore.azure.net\"", "network", "azure"],
        ],
        rules: &[
            KeyRule::OneOf {
                keys: &["preset", "name"],
                rule: "a zone has either a `preset` or a `name`",
                missing: ("`[[zone]]` lacks `name`", "write `name = \"…\"`, or `preset = \"azure-health-data-services\"` for its zones"),
            },
            KeyRule::OneOf {
                keys: &["directory", "file", "api", "primaries", "azure"],
                rule: "a zone has one writer",
                missing: (
                    "`[[zone]]` has no source of records",
                    "write `file = \"…\"`, `directory = \"…\"` for `<zone>.zone` in it, `api = true`, `primaries = […]`, or `azure = \"…\"`",
                ),
            },
            KeyRule::NotBoth {
                keys: ["preset", "file"],
                message: "a preset is several zones, which one file cannot hold",
                help: "write `directory = \"…\"`",
            },
            KeyRule::NotBoth {
                keys: ["preset", "primaries"],
                message: "a preset is several zones, which are not transferred as one",
                help: "write a `[[zone]]` with `name` for each",
            },
        ];

    /// Several zones at once.
    PRESET "preset": OneOf<ZonePreset> = OneOf { words: &ZonePreset::WORDS },
        OptionalKey { absent: "none; set `name` instead", example: r#""azure-health-data-services""# };

    /// Name of the zone.
    NAME "name": DomainName = DomainName, OptionalKey { absent: "none; set `preset` instead", example: r#""privatelink.blob.core.windows.net""# };

    /// Networks that the zone is linked to. Give each network its own zone unless all networks reach the same private endpoint.
    NETWORK "network": ListOf<NetworkName> = ListOf { of: NetworkName, least: 1 }, OptionalKey { absent: "all networks", example: r#"["hub"]"# };

    /// Directory with a zone file for each zone (`<zone>.zone`, `.db`, `.dns`, `.txt` or `db.<zone>`, in any letter case), `<zone>.hosts` and
    /// `<zone>.json`. The zones of a preset read every `*.json` and `*.hosts` in it. Of two zone files for one zone the first in this order
    /// is read. A file that no zone reads is a warning.
    DIRECTORY "directory": PathText = PathText,
        OptionalKey { absent: "none; set one of `directory`, `file`, `api`, `primaries`, and `azure`", example: r#""zones""# };

    /// File that holds the records: a zone file, a hosts file, or JSON as `az` prints it.
    FILE "file": PathText = PathText,
        OptionalKey { absent: "none; set one of `directory`, `file`, `api`, `primaries`, and `azure`", example: r#""exports/blob.json""# };

    /// Format of `file`.
    FORMAT "format": OneOf<SourceFormat> = OneOf { words: &SourceFormat::WORDS }, DefaultKey { default: r#""auto""# };

    /// The records come through the API or as RFC 2136 updates, and are stored in `server.state`.
    API "api": TrueOrFalse = TrueOrFalse, OptionalKey { absent: "none; set one of `directory`, `file`, `api`, `primaries`, and `azure`", example: "true" };

    /// Servers that the zone is transferred from (AXFR and IXFR, RFC 5936 and 1995), queried in this order. Their NOTIFY is accepted. The
    /// transferred zone is stored in `server.state`.
    PRIMARIES "primaries": ListOf<ServerAddress> = ListOf { of: ServerAddress, least: 1 },
        OptionalKey { absent: "none; set one of `directory`, `file`, `api`, `primaries`, and `azure`", example: r#"["10.20.0.10"]"# };

    /// Name of the `[[azure]]` whose private endpoints are the records of the zone. The zone has the endpoints of the virtual networks that
    /// its networks reach (`virtual-networks` of `[[network]]`), or all of them if its networks do not name any.
    AZURE "azure": LineOfText = LineOfText { most: 63, about: "a name", good: LineOfText::account },
        OptionalKey { absent: "none; set one of `directory`, `file`, `api`, `primaries`, and `azure`", example: r#""contoso""# };

    /// Clients and keys that may transfer the zone. A key must be declared as a `[[key]]`.
    TRANSFER_TO "transfer-to": ListOf<PeerText> = ListOf { of: PeerText, least: 0 }, DefaultKey { default: "[]" };

    /// Servers that receive a NOTIFY when the zone changes (RFC 1996).
    NOTIFY "notify": ListOf<ServerAddress> = ListOf { of: ServerAddress, least: 0 }, DefaultKey { default: "[]" };

    /// Name of the `[[key]]` that signs the queries to `primaries` and the messages to `notify`.
    TRANSFER_KEY "transfer-key": DomainName = DomainName, OptionalKey { absent: "not signed", example: r#""terraform.contoso.com""# };

    /// Name of the primary server in the SOA (MNAME), if the zone has no SOA of its own.
    PRIMARY_NAME "primary-name": DomainName = DomainName, OptionalKey { absent: "`primary-name` of `[server]`", example: r#""dns1.corp.contoso.com""# };

    /// Names for the NS records, if the zone has none of its own.
    NAME_SERVERS "name-servers": ListOf<DomainName> = ListOf { of: DomainName, least: 1 },
        OptionalKey { absent: "`name-servers` of `[server]`", example: r#"["dns1.corp.contoso.com", "dns2.corp.contoso.com"]"# };

    /// How long a name that was deleted through the API is still answered. A client that deletes and adds a record in two calls then causes
    /// no public answer in between.
    HOLD_DELETED "hold-deleted": BoundedDuration = BoundedDuration { least: 1, most: MINUTE, zero: "not at all" }, DefaultKey { default: r#""0s""# };

    /// Largest share of its names that a zone of 20 names or more may lose by one change of its files or one import. Files that lose more wait for `postern reload --accept ZONE`; such an import needs `--allow-loss`. `"100%"`: any share.
    MAX_LOSS "max-loss": PercentShare = PercentShare { least: 1, most: 100 }, DefaultKey { default: r#""50%""# };

    /// Whether files and imports without records may empty the zone. Otherwise a file that loses its last record is bad until `postern reload --accept ZONE` accepts it; such an import needs `--allow-empty`.
    ALLOW_EMPTY "allow-empty": TrueOrFalse = TrueOrFalse, DefaultKey { default: "false" };

    /// Answer for a name that the zone lacks. A query for a type that a name lacks always gets NODATA.
    ON_MISSING "on-missing": OneOf<OnMissing> = OneOf { words: &OnMissing::WORDS },
        OptionalKey { absent: "`\"public\"` for private-link zones, `\"nxdomain\"` for others", example: r#""public""# };

    /// Whether names that the zone lacks are written to the fallback record: names that got a public answer, and names that `on-missing`
    /// refused.
    FALLBACK "fallback": TrueOrFalse = TrueOrFalse, OptionalKey { absent: "`true` for private-link zones, `false` for others", example: "true" };

    /// Lowest TTL in answers.
    MIN_TTL "min-ttl": BoundedTtl = BoundedTtl { least: 0, most: 86_400 }, DefaultKey { default: "0" };

    /// Highest TTL in answers (RFC 2181 section 8 allows up to 2147483647).
    MAX_TTL "max-ttl": BoundedTtl = BoundedTtl { least: 0, most: 2_147_483_647 }, DefaultKey { default: "2147483647" };
}

section! {
    /// Names that get another answer, without owning their domain. All other names of the domain are resolved as before.
    ///
    /// A line is an answer and then the names that get it, as in a hosts file. The answer is an address, a name (the others become its
    /// aliases), `nxdomain`, `nodata`, or `public` (an exception to a wildcard). `*.lab.contoso.com` stands for every name below
    /// `lab.contoso.com`. An exact name wins over a wildcard, and a longer wildcard over a shorter one. The first name of an address gets
    /// its PTR record. Private zones of the network win over overrides. If several `[[override]]` have a name, the first one counts.
    overrides = "override", List,
        shown: &[
            &["name", "network", "file", "other-types", "ttl", "max-loss", "allow-empty"],
            &["name = \"lab\"", "hosts"],
        ],
        rules: &[
            KeyRule::OneOf {
                keys: &["file", "hosts"],
                rule: "the lines of an `[[override]]` stand in one place",
                missing: ("`[[override]]` has no names", "write `hosts = [\"10.30.1.10 printer.contoso.com\"]`, or `file = \"…\"`"),
            },
        ];

    /// Name of the overrides in `postern status`, `postern records list` and the metrics.
    NAME "name": NetworkName = NetworkName, DefaultKey { default: r#""overrides""# };

    /// Networks whose clients get the answers.
    NETWORK "network": ListOf<NetworkName> = ListOf { of: NetworkName, least: 1 }, OptionalKey { absent: "all networks", example: r#"["hub"]"# };

    /// File with a line for each answer. A hosts file is one.
    FILE "file": PathText = PathText, OptionalKey { absent: "none; set `hosts` instead", example: r#""overrides.hosts""# };

    /// Lines as in `file`, for overrides that stand in the configuration itself.
    HOSTS "hosts": ListOf<OverrideText> = ListOf { of: OverrideText, least: 1 },
        OptionalKey { absent: "none; set `file` instead", example: r#"["10.30.1.10 printer.contoso.com", "nxdomain *.ads.example.net"]"# };

    /// Answer to a query for a type that an overridden name lacks. An address that is overridden for IPv4 alone is reached over a public
    /// AAAA record with `"public"`.
    OTHER_TYPES "other-types": OneOf<OtherTypes> = OneOf { words: &OtherTypes::WORDS }, DefaultKey { default: r#""nodata""# };

    /// TTL of the answers.
    TTL "ttl": BoundedTtl = BoundedTtl { least: 0, most: 86_400 }, DefaultKey { default: "60" };

    /// Largest share of its names that a file of 20 names or more may lose by one change, as for `[[zone]]`.
    MAX_LOSS "max-loss": PercentShare = PercentShare { least: 1, most: 100 }, DefaultKey { default: r#""50%""# };

    /// Whether a file without records may remove all overrides, as for `[[zone]]`.
    ALLOW_EMPTY "allow-empty": TrueOrFalse = TrueOrFalse, DefaultKey { default: "false" };
}

section! {
    /// A route: the upstreams that are queried for the names below a suffix. The longest suffix wins, and `.` matches all other names.
    ///
    /// Without any `[[forward]]`, the resolvers of `/etc/resolv.conf` receive all queries.
    forward = "forward", List, shown: &[&["zone", "network", "upstreams", "select", "timeout", "retransmit-min", "retransmit-max", "hedge", "next-on", "source"]], rules: &[];

    /// Suffix of the names. For private link forward the public zone (`blob.core.windows.net`), not the `privatelink` one.
    ZONE "zone": DomainName = DomainName, RequiredKey { example: r#"".""# };

    /// Networks whose clients use the route.
    NETWORK "network": ListOf<NetworkName> = ListOf { of: NetworkName, least: 1 }, OptionalKey { absent: "all networks", example: r#"["hub"]"# };

    /// Servers that are queried: `"address"`, `"address:port"`, `"udp://address"`, `"tcp://address"` or a table with `address`
    /// and further keys; or `["system"]` alone for those of `/etc/resolv.conf`.
    UPSTREAMS "upstreams": UpstreamList = UpstreamList {
            section: &upstream::SECTION,
            address: &upstream::ADDRESS,
            in_flight: &upstream::IN_FLIGHT,
            rate: &upstream::RATE,
            probe: &upstream::PROBE,
            random_case: &upstream::RANDOM_CASE,
            cookies: &upstream::COOKIES,
            edns: &upstream::EDNS,
            udp_size: &upstream::UDP_SIZE,
            timeout: &upstream::TIMEOUT,
            source: &upstream::SOURCE,
        },
        RequiredKey { example: r#"["168.63.129.16"]"# };

    /// Order in which the upstreams are queried.
    SELECT "select": OneOf<UpstreamOrder> = OneOf { words: &UpstreamOrder::WORDS }, DefaultKey { default: r#""order""# };

    /// How long the server waits for one upstream before it queries the next.
    TIMEOUT "timeout": BoundedDuration = BoundedDuration { least: 50, most: 30_000, zero: "" }, OptionalKey { absent: "1500ms; 4500ms for 168.63.129.16, for which Microsoft asks for more than 4 s", example: r#""4500ms""# };

    /// Shortest time after which a query is sent to the same upstream again. The time follows the measured round trips (RFC 6298), and doubles with each repetition.
    RETRANSMIT_MIN "retransmit-min": BoundedDuration = BoundedDuration { least: 10, most: 30_000, zero: "" }, DefaultKey { default: r#""50ms""# };

    /// Longest time after which a query is sent to the same upstream again.
    RETRANSMIT_MAX "retransmit-max": BoundedDuration = BoundedDuration { least: 10, most: 30_000, zero: "" }, DefaultKey { default: r#""1s""# };

    /// Share of an upstream's responses. If a response takes longer than these took, the next upstream is queried as well, and the first answer counts. Set it only if all upstreams know the same names.
    HEDGE "hedge": PercentShare = PercentShare { least: 50, most: 99 }, OptionalKey { absent: "off: the next upstream is queried when one fails", example: r#""95%""# };

    /// Denials after which the next upstream is queried. The answer of the last upstream counts. Set it if each upstream knows other names.
    NEXT_ON "next-on": ListOf<OneOf<UpstreamDenial>> = ListOf { of: OneOf { words: &UpstreamDenial::WORDS }, least: 1 },
        OptionalKey { absent: "none: the first denial counts", example: r#"["nxdomain"]"# };

    /// Address or network interface that queries to the upstreams leave from, over UDP and TCP. The table of an upstream may name another one.
    SOURCE "source": QuerySourceText = QuerySourceText, OptionalKey { absent: "the system chooses by its routing table", example: r#""10.1.2.3""# };
}

section! {
    /// An upstream of a route, written as a table.
    upstream = "upstreams", Inline, shown: &[], rules: &[];

    /// Address of the upstream, in the same form as in a list.
    ADDRESS "address": UpstreamAddress = UpstreamAddress, RequiredKey { example: r#""168.63.129.16""# };

    /// Maximum number of outstanding queries.
    IN_FLIGHT "in-flight": BoundedNumber<u32> = BoundedNumber { least: 1, most: 65_535, zero: "" },
        OptionalKey { absent: "1000; 200 for 168.63.129.16, which drops more", example: "200" };

    /// Maximum number of queries per second.
    RATE "rate": BoundedNumber<u32> = BoundedNumber { least: 1, most: 10_000_000, zero: "no bound" },
        OptionalKey { absent: "no bound; 1000 for 168.63.129.16, which drops more", example: "1000" };

    /// Query that tells whether the upstream is up: a name and a type. Any response will do. It is sent when the upstream is silent for several names, and while it is down.
    PROBE "probe": ProbeText = ProbeText, DefaultKey { default: r#"". NS""# };

    /// Whether names are sent in random letter case, which forged answers must match. An upstream that changes letter case is detected.
    RANDOM_CASE "random-case": TrueOrFalse = TrueOrFalse, DefaultKey { default: "true" };

    /// Whether queries carry a DNS cookie (RFC 7873), which forged answers must match.
    COOKIES "cookies": TrueOrFalse = TrueOrFalse, DefaultKey { default: "true" };

    /// Whether queries carry an OPT record (EDNS, RFC 6891). Without it there is no DNSSEC, no cookie, and no answer over UDP above 512 bytes. Set it to `false` for an upstream behind a device that drops queries with EDNS.
    EDNS "edns": TrueOrFalse = TrueOrFalse, DefaultKey { default: "true" };

    /// Largest UDP response that queries ask for, bytes. A larger one is truncated, and is queried over TCP.
    UDP_SIZE "udp-size": BoundedNumber<u16> = BoundedNumber { least: 512, most: 4096, zero: "" }, DefaultKey { default: "1232" };

    /// How long the server waits for this upstream before it queries the next.
    TIMEOUT "timeout": BoundedDuration = BoundedDuration { least: 50, most: 30_000, zero: "" }, OptionalKey { absent: "the `timeout` of the route", example: r#""4500ms""# };

    /// Address or network interface that queries to this upstream leave from.
    SOURCE "source": QuerySourceText = QuerySourceText, OptionalKey { absent: "the `source` of the route", example: r#""eth1""# };
}

section! {
    /// A TSIG key (RFC 8945), or clients that need no key, and what it permits: updates (RFC 2136), transfers, notifications, and queries.
    ///
    /// A `secret-file` is watched like the configuration file. A new secret in it takes effect immediately.
    key = "key", List,
        shown: &[
            &["name", "algorithm", "secret", "allow-md5", "mac-bits", "allow", "zones", "names", "types", "clients"],
            &["name = \"acme.contoso.com\"", "secret-file", "allow = [\"update\"]"],
            &["name = \"dhcp\"", "unsigned", "clients", "allow = [\"update\"]"],
        ],
        rules: &[
            KeyRule::OneOf {
                keys: &["secret", "secret-file", "unsigned"],
                rule: "a key has one of `secret`, `secret-file` and `unsigned`",
                missing: (
                    "`[[key]]` has no secret",
                    "write `secret-file = \"…\"`, `secret = \"…\"`, or `unsigned = true` with `clients`",
                ),
            },
            KeyRule::Needs { key: "unsigned", needed: "clients" },
        ];

    /// Name of the key, as clients send it. For an `unsigned` entry, the name is used only in logs.
    NAME "name": DomainName = DomainName, RequiredKey { example: r#""terraform.contoso.com""# };

    /// Hash algorithm. `"hmac-md5"` requires `allow-md5`.
    ALGORITHM "algorithm": OneOf<TsigAlgorithm> = OneOf { words: &TsigAlgorithm::WORDS },
        OptionalKey { absent: "the one that `secret-file` names, else `\"hmac-sha256\"`", example: r#""hmac-sha256""# };

    /// Shared secret, in Base64. Prefer `secret-file`.
    SECRET "secret": SecretText = SecretText,
        OptionalKey { absent: "none; set `secret-file` instead", example: r#""bm90IGEgc2VjcmV0IHRvIGtlZXAsIGJ1dCBvbmUgdG8gc2hvdw==""# };

    /// File with the secret in Base64 alone, or with `key "name" { algorithm …; secret "…"; };` as `tsig-keygen` prints it.
    SECRET_FILE "secret-file": PathText = PathText, OptionalKey { absent: "none; set `secret` instead", example: r#""acme.key""# };

    /// No signature is required: any message from one of `clients` is accepted. Over UDP an address can be forged.
    UNSIGNED "unsigned": TrueOrFalse = TrueOrFalse, OptionalKey { absent: "messages must be signed", example: "true" };

    /// Also accept messages that are signed with HMAC-MD5 and this secret, for clients that support nothing stronger.
    ALLOW_MD5 "allow-md5": TrueOrFalse = TrueOrFalse, DefaultKey { default: "false" };

    /// Minimum length of a MAC in bits, for clients that truncate it. A MAC shorter than half of the hash is never accepted (RFC 8945
    /// section 5.2.2.1).
    MAC_BITS "mac-bits": BoundedNumber<u16> = BoundedNumber { least: 80, most: 512, zero: "" }, OptionalKey { absent: "all of them", example: "128" };

    /// Operations that the key permits.
    ALLOW "allow": ListOf<OneOf<KeyAction>> = ListOf { of: OneOf { words: &KeyAction::WORDS }, least: 1 },
        RequiredKey { example: r#"["update", "transfer"]"# };

    /// Zones that the key applies to: `"name"`, or `"name@network"` if several zones share a name.
    ZONES "zones": ListOf<ZoneNameText> = ListOf { of: ZoneNameText, least: 1 }, OptionalKey { absent: "all zones", example: r#"["corp.contoso.com"]"# };

    /// Names that the key may change. `*` as the first or last label matches any number of labels, and elsewhere exactly one label:
    /// `"_acme-challenge.*"`, `"*.lab.contoso.com"`.
    NAMES "names": ListOf<NamePatternText> = ListOf { of: NamePatternText, least: 1 },
        OptionalKey { absent: "all names", example: r#"["_acme-challenge.*"]"# };

    /// Types that the key may change.
    TYPES "types": ListOf<RecordType> = ListOf { of: RecordType, least: 1 }, OptionalKey { absent: "all types", example: r#"["TXT"]"# };

    /// Clients that may use the key.
    CLIENTS "clients": ListOf<ClientPrefix> = ListOf { of: ClientPrefix, least: 1 },
        OptionalKey { absent: "all clients; `unsigned` needs some", example: r#"["10.20.0.5"]"# };
}
