//! Record types: the only table of their numbers and mnemonics, for zone files, interfaces, the
//! configuration, logs and query files.
//!
//! The table is IANA's registry of resource record types. Types outside the registry are written as
//! in RFC 3597, section 5: `TYPE65400`.

use std::borrow::Cow;

/// Returns the mnemonic of a constant: its own name, unless the registry spells it differently.
macro_rules! mnemonic {
    ($constant:ident) => {
        stringify!($constant)
    };
    ($constant:ident $mnemonic:literal) => {
        $mnemonic
    };
}

macro_rules! types {
    ($($code:literal $constant:ident $($mnemonic:literal)?,)*) => {
        // The names are the documentation.
        $(#[allow(missing_docs)] pub const $constant: u16 = $code;)*
        /// All types of the registry by number.
        static TYPES: &[(u16, &str)] = &[$(($code, mnemonic!($constant $($mnemonic)?)),)*];
    };
}

types! {
    1 A, 2 NS, 3 MD, 4 MF, 5 CNAME, 6 SOA, 7 MB, 8 MG, 9 MR, 10 NULL, 11 WKS, 12 PTR, 13 HINFO, 14 MINFO, 15 MX, 16 TXT, 17 RP, 18 AFSDB,
    19 X25, 20 ISDN, 21 RT, 22 NSAP, 23 NSAP_PTR "NSAP-PTR", 24 SIG, 25 KEY, 26 PX, 27 GPOS, 28 AAAA, 29 LOC, 30 NXT, 31 EID, 32 NIMLOC,
    33 SRV, 34 ATMA, 35 NAPTR, 36 KX, 37 CERT, 38 A6, 39 DNAME, 40 SINK, 41 OPT, 42 APL, 43 DS, 44 SSHFP, 45 IPSECKEY, 46 RRSIG, 47 NSEC,
    48 DNSKEY, 49 DHCID, 50 NSEC3, 51 NSEC3PARAM, 52 TLSA, 53 SMIMEA, 55 HIP, 56 NINFO, 57 RKEY, 58 TALINK, 59 CDS, 60 CDNSKEY,
    61 OPENPGPKEY, 62 CSYNC, 63 ZONEMD, 64 SVCB, 65 HTTPS, 66 DSYNC, 67 HHIT, 68 BRID, 99 SPF, 100 UINFO, 101 UID, 102 GID, 103 UNSPEC,
    104 NID, 105 L32, 106 L64, 107 LP, 108 EUI48, 109 EUI64, 128 NXNAME, 249 TKEY, 250 TSIG, 251 IXFR, 252 AXFR, 253 MAILB, 254 MAILA,
    255 ANY, 256 URI, 257 CAA, 258 AVC, 259 DOA, 260 AMTRELAY, 261 RESINFO, 262 WALLET, 263 CLA, 264 IPN, 32768 TA, 32769 DLV,
}

/// Parses a mnemonic in any letter case, or `TYPE` and a number (RFC 3597, section 5).
pub fn type_code(name: &str) -> Option<u16> {
    type_code_of(name.as_bytes())
}

/// Parses a mnemonic from the octets of a zone file.
pub fn type_code_of(name: &[u8]) -> Option<u16> {
    // The most frequent types come first.
    match name {
        b"A" => return Some(A),
        b"AAAA" => return Some(AAAA),
        b"CNAME" => return Some(CNAME),
        b"PTR" => return Some(PTR),
        b"TXT" => return Some(TXT),
        _ => {}
    }
    if let Some((code, _)) = TYPES.iter().find(|(_, mnemonic)| mnemonic.as_bytes().eq_ignore_ascii_case(name)) {
        return Some(*code);
    }
    let (word, digits) = name.split_at_checked(4)?;
    if !word.eq_ignore_ascii_case(b"TYPE") || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Returns the mnemonic of a type, or `TYPE` and its number (RFC 3597, section 5).
pub fn type_name(rtype: u16) -> Cow<'static, str> {
    match TYPES.binary_search_by_key(&rtype, |(code, _)| *code) {
        Ok(index) => Cow::Borrowed(TYPES[index].1),
        Err(_) => Cow::Owned(format!("TYPE{rtype}")),
    }
}

/// Returns true for types that never occur as records of a zone: question types and those of single
/// messages (RFC 6895, section 3.1).
pub fn is_meta(rtype: u16) -> bool {
    rtype == 0 || rtype == OPT || (128..=255).contains(&rtype)
}

/// Returns the mnemonics of the types that a zone can contain, for suggestions.
pub fn mnemonics() -> impl Iterator<Item = &'static str> + Clone {
    TYPES.iter().filter(|(code, _)| !is_meta(*code)).map(|(_, mnemonic)| *mnemonic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_back_from_its_name_in_any_case() {
        assert!(TYPES.is_sorted_by_key(|(code, _)| *code));
        for code in 0..=u16::MAX {
            let name = type_name(code);
            assert_eq!(type_code(&name), Some(code), "{name}");
            assert_eq!(type_code(&name.to_lowercase()), Some(code), "{name}");
            assert_eq!(type_code(&format!("Type{code}")), Some(code));
        }
        assert_eq!((type_name(NSAP_PTR).as_ref(), type_name(65305).as_ref(), type_name(0).as_ref()), ("NSAP-PTR", "TYPE65305", "TYPE0"));
    }

    #[test]
    fn what_is_neither_a_mnemonic_nor_a_number_is_no_type() {
        for text in ["", "X", "TYPE", "TYPE65536", "TYPE+1", "TYPE 1", "Unknown", "ANAME", "ALIAS", "1", "RESERVED0"] {
            assert_eq!(type_code(text), None, "{text}");
        }
    }

    #[test]
    fn meta_types_have_no_records() {
        let meta: Vec<_> = (0..=u16::MAX).filter(|code| is_meta(*code)).map(type_name).filter(|name| !name.starts_with("TYPE")).collect();
        assert_eq!(meta, ["OPT", "NXNAME", "TKEY", "TSIG", "IXFR", "AXFR", "MAILB", "MAILA", "ANY"]);
        assert!(mnemonics().all(|name| !meta.iter().any(|meta| meta == name)));
    }
}
