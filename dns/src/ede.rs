//! Failures, and how a client learns of them: one function maps an outcome to RCODE and extended error (RFC 8914).

/// Response codes that we send (RFC 1035 section 4.1.1, RFC 2136, RFC 6891, RFC 8945).
pub mod rcode {
    #![allow(missing_docs)] // the names are the documentation
    pub const NOERROR: u16 = 0;
    pub const FORMERR: u16 = 1;
    pub const SERVFAIL: u16 = 2;
    pub const NXDOMAIN: u16 = 3;
    pub const NOTIMP: u16 = 4;
    pub const REFUSED: u16 = 5;
    pub const YXDOMAIN: u16 = 6;
    pub const YXRRSET: u16 = 7;
    pub const NXRRSET: u16 = 8;
    pub const NOTAUTH: u16 = 9;
    pub const NOTZONE: u16 = 10;
    pub const BADVERS: u16 = 16;
    pub const BADCOOKIE: u16 = 23;
}

/// Why a question has no answer from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// More than 16 hops, or a loop (S7).
    Loop,
    /// The zone never had good data.
    ZoneUnavailable,
    /// The zone lacks the name and its policy is SERVFAIL.
    MissingRefused,
    /// No route covers the name.
    NoRoute,
    /// The route leads back to ourselves (S7).
    RouteToSelf,
    /// No upstream answered in time.
    NoUpstream,
    /// No upstream answers questions for this domain, and as many as may wait for it do so already.
    SilentDomain,
    /// Upstreams answered, none of them usefully (SERVFAIL, REFUSED, nonsense).
    UpstreamFailed,
    /// An upstream gave this extended error with its failure.
    Reported(u16),
    /// A failure remembered (RFC 9520), with the extended error that an upstream gave.
    CachedFailure(Option<u16>),
    /// Too many questions wait already.
    Busy,
    /// The client may not have recursion.
    NoRecursion,
    /// The client may not query at all.
    Denied,
    /// RD was clear and the data is not ours (or not at hand).
    NotAuthoritative,
}

/// INFO-CODE and EXTRA-TEXT of RFC 8914.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedError {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT.
    pub text: &'static str,
}

impl Failure {
    /// RCODE and extended error of this failure.
    pub fn outcome(self) -> (u16, ExtendedError) {
        use rcode::*;
        let (rcode, code, text) = match self {
            Self::Loop => (SERVFAIL, 0, "alias loop or more than 16 aliases"),
            Self::ZoneUnavailable => (SERVFAIL, 14, "private zone has no good data"),
            Self::MissingRefused => (SERVFAIL, 15, "no private record for this name"),
            Self::NoRoute => (REFUSED, 20, "no forward rule covers this name"),
            Self::RouteToSelf => (SERVFAIL, 0, "the forward rule for this name leads back to this server"),
            Self::NoUpstream => (SERVFAIL, 22, "no upstream answered"),
            Self::SilentDomain => (SERVFAIL, 22, "upstreams do not answer questions for this domain"),
            Self::UpstreamFailed => (SERVFAIL, 22, "no upstream gave a usable answer"),
            Self::Reported(code) => (SERVFAIL, code, REPORTED),
            Self::CachedFailure(_) => (SERVFAIL, 13, "upstreams failed a moment ago"),
            Self::Busy => (SERVFAIL, 14, "too many questions wait for upstreams"),
            Self::NoRecursion => (REFUSED, 18, "recursion is not allowed for this client"),
            Self::Denied => (REFUSED, 18, "this client may not query"),
            Self::NotAuthoritative => (REFUSED, 20, "not a zone of this server"),
        };
        (rcode, ExtendedError { code, text })
    }

    /// INFO-CODE of the extended error that an upstream gave.
    pub fn reported(self) -> Option<u16> {
        match self {
            Self::Reported(code) => Some(code),
            Self::CachedFailure(code) => code,
            _ => None,
        }
    }

    /// Returns the failure that is reported if this one came after `earlier`: the one that says most about the name.
    pub fn after(self, earlier: Option<Self>) -> Self {
        match (earlier, self) {
            (Some(earlier @ Self::Reported(_)), Self::UpstreamFailed | Self::NoUpstream) => earlier,
            (Some(earlier @ Self::UpstreamFailed), Self::NoUpstream) => earlier,
            (_, later) => later,
        }
    }
}

/// Text of an extended error that an upstream gave. Its own text is a stranger's, and is not passed on.
const REPORTED: &str = "reported by an upstream";

/// Returns the extended error that an upstream gave, for a client.
pub fn reported(code: u16) -> ExtendedError {
    ExtendedError { code, text: REPORTED }
}

/// The answer is older than its TTL (RFC 8767, RFC 8914 section 4.4).
pub const STALE: ExtendedError = ExtendedError { code: 3, text: "upstreams do not answer" };
/// The private name was found without the upstream's help (S6).
pub const DERIVED: ExtendedError = ExtendedError { code: 3, text: "upstreams do not answer; private record of the zone table's name" };
/// No private record: the answer is the public one.
pub const FELL_BACK: ExtendedError = ExtendedError { code: 0, text: "no private record: public answer" };
/// The answer is the public one, although a private record exists: the public aliases do not lead to it.
pub const BYPASSED: ExtendedError = ExtendedError { code: 0, text: "no public alias leads to the private record: public answer" };
/// The zone's policy for a name it lacks is NXDOMAIN.
pub const MISSING: ExtendedError = ExtendedError { code: 0, text: "no private record for this name" };
/// RFC 6672 section 2.2: the RCODE is YXDOMAIN.
pub const TOO_LONG: ExtendedError = ExtendedError { code: 0, text: "the DNAME makes the name longer than 255 octets" };
/// A handler of other messages has no room for one more.
pub const HANDLER_BUSY: ExtendedError = ExtendedError { code: 14, text: "too many messages wait; try again" };
