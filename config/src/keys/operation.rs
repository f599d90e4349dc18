//! Keys of the cache, limits, logs, the API and metrics.

use super::*;

section! {
    /// The cache of upstream answers. Private records never enter it.
    cache = "cache", Table, shown: &[], rules: &[];

    /// Memory for entries.
    SIZE "size": ByteSize = ByteSize { least: MIB, most: TIB, zero: "no cache" }, DefaultKey { default: r#""64MiB""# };

    /// Lower bound of cached TTLs.
    MIN_TTL "min-ttl": BoundedTtl = BoundedTtl { least: 0, most: 3_600 }, DefaultKey { default: "0" };

    /// Upper bound of cached TTLs.
    MAX_TTL "max-ttl": BoundedTtl = BoundedTtl { least: 1, most: 604_800 }, DefaultKey { default: "86400" };

    /// Upper bound of cached negative answers (RFC 2308 section 5).
    MAX_NEGATIVE_TTL "max-negative-ttl": BoundedTtl = BoundedTtl { least: 0, most: 86_400 }, DefaultKey { default: "3600" };

    /// How long a failure to resolve is remembered (RFC 9520: 1 to 300 seconds).
    FAILURE_TTL "failure-ttl": BoundedTtl = BoundedTtl { least: 1, most: 300 }, DefaultKey { default: "5" };

    /// How long an expired answer may still be served if no upstream answers (RFC 8767).
    STALE "stale": BoundedDuration = BoundedDuration { least: 1_000, most: 7 * DAY, zero: "never" }, DefaultKey { default: r#""1d""# };

    /// TTL of such an answer (RFC 8767: 30 seconds).
    STALE_TTL "stale-ttl": BoundedTtl = BoundedTtl { least: 1, most: 3_600 }, DefaultKey { default: "30" };

    /// How long a client waits for a fresh answer before it gets a stale one (RFC 8767: 1.8 seconds).
    STALE_AFTER "stale-after": BoundedDuration = BoundedDuration { least: 1, most: 10_000, zero: "at once" }, DefaultKey { default: r#""1800ms""# };

    /// How long after a failed refresh stale answers are served without another query (RFC 8767: 30 seconds).
    STALE_RECHECK "stale-recheck": BoundedDuration = BoundedDuration { least: 1_000, most: 10 * MINUTE, zero: "" }, DefaultKey { default: r#""30s""# };
}

section! {
    /// Limits on the resources that untrusted clients can use.
    limits = "limits", Table, shown: &[], rules: &[];

    /// Maximum number of client queries that wait for upstreams. Further queries are answered SERVFAIL.
    PENDING "pending": BoundedNumber<usize> = BoundedNumber { least: 16, most: 1_000_000, zero: "" }, DefaultKey { default: "10000" };

    /// TCP connections, in all. When the limit is reached, the longest idle connection of the client with the most is closed. The more connections are open, the shorter `tcp-idle` becomes.
    TCP_CONNECTIONS "tcp-connections": BoundedNumber<usize> = BoundedNumber { least: 1, most: 100_000, zero: "" }, DefaultKey { default: "1000" };

    /// TCP connections of one client address (IPv6: of its /64). One more closes the client's longest idle connection.
    TCP_PER_CLIENT "tcp-per-client": BoundedNumber<usize> = BoundedNumber { least: 1, most: 100_000, zero: "" }, DefaultKey { default: "50" };

    /// A TCP connection without a complete question for this long is closed (RFC 7766 section 6.2.3).
    TCP_IDLE "tcp-idle": BoundedDuration = BoundedDuration { least: 100, most: 10 * MINUTE, zero: "" }, DefaultKey { default: r#""10s""# };

    /// Questions of one TCP connection that may wait for answers.
    TCP_PIPELINE "tcp-pipeline": BoundedNumber<usize> = BoundedNumber { least: 1, most: 10_000, zero: "" }, DefaultKey { default: "100" };

    /// Responses over UDP to one client network (IPv4 /24, IPv6 /56) in a second. 0: no limit.
    /// Beyond it every second question is answered with TC, or with BADCOOKIE if it has a DNS cookie.
    /// The other questions, and malformed messages, then get no answer.
    /// A client with a valid DNS cookie is neither limited nor counted.
    /// Many clients behind one resolver count as one.
    RESPONSES_PER_SECOND "responses-per-second": BoundedNumber<u32> = BoundedNumber { least: 0, most: 1_000_000, zero: "" }, DefaultKey { default: "0" };

    /// Maximum total time for one client query.
    QUERY_DEADLINE "query-deadline": BoundedDuration = BoundedDuration { least: 100, most: MINUTE, zero: "" }, DefaultKey { default: r#""5s""# };

    /// Memory that the records of one transfer from a primary may take. A transfer that is larger changes nothing. A record takes about 100 bytes.
    TRANSFER_SIZE "transfer-size": ByteSize = ByteSize { least: MIB, most: TIB, zero: "" }, DefaultKey { default: r#""256MiB""# };
}

section! {
    /// The operational log.
    log = "log", Table, shown: &[], rules: &[];

    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter by module such as `info,postern_dns=debug`.
    LEVEL "level": LogFilter = LogFilter, DefaultKey { default: r#""info""# };

    /// How lines are written.
    FORMAT "format": OneOf<LogFormat> = OneOf { words: &LogFormat::WORDS }, DefaultKey { default: r#""text""# };
}

section! {
    /// The record of every answer with public data for a private-link name, and of every answer that `on-missing` refused.
    ///
    /// A private-link name lies in a private-link zone, or has a label `privatelink` or `privatelink-global`.
    fallback = "fallback", Table, shown: &[], rules: &[];

    /// File that events are written to. It is reopened on SIGUSR1.
    FILE "file": PathText = PathText, OptionalKey { absent: "the log, at WARN", example: r#""fallback.jsonl""# };

    /// How events are written.
    FORMAT "format": OneOf<LogFormat> = OneOf { words: &LogFormat::WORDS }, DefaultKey { default: r#""json""# };

    /// Size at which the file is rotated.
    ROTATE "rotate": ByteSize = ByteSize { least: 4 * KIB, most: TIB, zero: "never" }, DefaultKey { default: r#""64MiB""# };

    /// Rotated files that are kept.
    KEEP "keep": BoundedNumber<u32> = BoundedNumber { least: 1, most: 1_000, zero: "none" }, DefaultKey { default: "5" };

    /// Which repetitions of the same network, name, type, and reason are written. `"every 5m"`: one every five minutes.
    REPEAT "repeat": RepeatChoice = RepeatChoice, DefaultKey { default: r#""all""# };

    /// Maximum number of lines per second, in total. Fallbacks beyond that are counted in one line per second, with the number of clients
    /// and names.
    RATE "rate": BoundedNumber<u32> = BoundedNumber { least: 1, most: 1_000_000, zero: "no bound" }, DefaultKey { default: "100" };

    /// Maximum number of lines per second for one client: an IPv4 address, or a /64 of IPv6.
    CLIENT_RATE "client-rate": BoundedNumber<u32> = BoundedNumber { least: 1, most: 1_000_000, zero: "no bound" }, DefaultKey { default: "20" };

    /// Entries of the ledger, one for each network and name.
    LEDGER "ledger": BoundedNumber<usize> = BoundedNumber { least: 1, most: 10_000_000, zero: "" }, DefaultKey { default: "10000" };

    /// Highest TTL of public records for a private-link name, in answers to clients. It limits how long clients keep a public address once the private record exists.
    MAX_PUBLIC_TTL "max-public-ttl": BoundedTtl = BoundedTtl { least: 1, most: 604_800 }, DefaultKey { default: "60" };

    /// Events that may wait for the writer. More are dropped and counted.
    QUEUE "queue": BoundedNumber<usize> = BoundedNumber { least: 16, most: 10_000_000, zero: "" }, DefaultKey { default: "10000" };
}

section! {
    /// The HTTP API: `/v1` and the PowerDNS-compatible API. A local user who can open the UNIX socket has full access.
    api = "api", Table, shown: &[],
        rules: &[
            KeyRule::Needs { key: "certificate", needed: "private-key" },
            KeyRule::Needs { key: "private-key", needed: "certificate" },
            KeyRule::Needs { key: "client-ca", needed: "certificate" },
        ];

    /// Addresses to listen on, over TCP. The default port is 8053. An address other than loopback needs a `key-file`.
    LISTEN "listen": OneOrMore<ListenAddress> = OneOrMore { of: ListenAddress { port: 8053 } },
        OptionalKey { absent: "only the UNIX socket", example: r#""127.0.0.1:8053""# };

    /// UNIX socket, mode 0660. `false`: none.
    SOCKET "socket": PathOrNot = PathOrNot,
        OptionalKey { absent: "`postern.sock` in the directory that systemd gives (`RuntimeDirectory=`), else in `server.state`", example: r#""/run/postern/postern.sock""# };

    /// Keys of clients over TCP, one hashed key per line. `postern key` creates them. Read again when it changes.
    KEY_FILE "key-file": PathText = PathText, OptionalKey { absent: "clients on a loopback address have full access", example: r#""api.key""# };

    /// Certificate chain of the server, in PEM. It turns on TLS. Read again when it changes.
    CERTIFICATE "certificate": PathText = PathText, OptionalKey { absent: "no TLS", example: r#""api.crt""# };

    /// Private key of `certificate`, PEM.
    PRIVATE_KEY "private-key": PathText = PathText, OptionalKey { absent: "no TLS", example: r#""api.pem""# };

    /// Certificate authorities, in PEM. A client must present a certificate from one of them, in addition to its key.
    CLIENT_CA "client-ca": PathText = PathText, OptionalKey { absent: "client certificates are not required", example: r#""clients.crt""# };

    /// Largest body of a request.
    MAX_BODY "max-body": ByteSize = ByteSize { least: KIB, most: GIB, zero: "" }, DefaultKey { default: r#""64MiB""# };

    /// Maximum number of requests per second from one client address, and the size of a burst. The socket has no limit.
    RATE "rate": BoundedNumber<u32> = BoundedNumber { least: 1, most: 1_000_000, zero: "no bound" }, DefaultKey { default: "1000" };

    /// Connections over TCP, in all. The socket has room for 64 of its own. When the limit is reached, the connection that has been idle
    /// longest is closed.
    CONNECTIONS "connections": BoundedNumber<usize> = BoundedNumber { least: 1, most: 100_000, zero: "" }, DefaultKey { default: "500" };

    /// Connections over TCP of one client address (IPv6: of its /64). Those with a request under way do not count.
    PER_CLIENT "per-client": BoundedNumber<usize> = BoundedNumber { least: 1, most: 100_000, zero: "" }, DefaultKey { default: "100" };
}

section! {
    /// Metrics for Prometheus (`/metrics`) and pages for probes (`/health`, `/ready`), without keys. They contain no client addresses and
    /// no queried names.
    metrics = "metrics", Table, shown: &[], rules: &[];

    /// Address to listen on, over TCP. The default port is 9153.
    LISTEN "listen": ListenAddress = ListenAddress { port: 9153 },
        OptionalKey { absent: "only the API's listener has these pages", example: r#""127.0.0.1:9153""# };
}
