//! Reading a client's question.

use zones::name::NameBuf;

/// A question, understood.
#[derive(Debug, Clone)]
pub struct Question {
    /// QNAME, lowered; its original case stays in the packet.
    pub name: NameBuf,
    /// QTYPE.
    pub rtype: u16,
    /// QCLASS.
    pub class: u16,
    /// Octets of header and question: where an answer begins.
    pub end: usize,
    /// RD.
    pub recursion_desired: bool,
    /// CD (RFC 4035 section 3.2.2).
    pub checking_disabled: bool,
    /// AD in a query asks for AD in the answer (RFC 6840 section 5.7).
    pub authentic_data: bool,
    /// The OPT record, if there is one.
    pub edns: Option<Edns>,
    /// Signed with TSIG or SIG(0).
    pub signed: bool,
}

/// What an OPT record says (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// Largest UDP answer the client takes, octets (below 512 counts as 512).
    pub udp_size: u16,
    /// DO.
    pub dnssec_ok: bool,
    /// The client asks for NSID (RFC 5001).
    pub nsid: bool,
}

impl Question {
    /// DO.
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }
}
