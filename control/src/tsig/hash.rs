//! The hashes of TSIG (RFC 8945 section 6), each by its name on the wire.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use postern_config::model::TsigAlgorithm;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

/// Octets of the longest hash.
pub const LONGEST: usize = 64;

const NAMES: [(TsigAlgorithm, &[u8]); 6] = [
    (TsigAlgorithm::Md5, b"\x08hmac-md5\x07sig-alg\x03reg\x03int\0"),
    (TsigAlgorithm::Sha1, b"\x09hmac-sha1\0"),
    (TsigAlgorithm::Sha224, b"\x0bhmac-sha224\0"),
    (TsigAlgorithm::Sha256, b"\x0bhmac-sha256\0"),
    (TsigAlgorithm::Sha384, b"\x0bhmac-sha384\0"),
    (TsigAlgorithm::Sha512, b"\x0bhmac-sha512\0"),
];

/// Its name on the wire, lower case: as it is signed.
pub fn wire_name(algorithm: TsigAlgorithm) -> &'static [u8] {
    NAMES.iter().find(|(known, _)| *known == algorithm).map_or(b"\0", |(_, name)| name)
}

/// The hash of a name, lower case.
pub fn of_wire_name(name: &[u8]) -> Option<TsigAlgorithm> {
    NAMES.iter().find(|(_, known)| *known == name).map(|(algorithm, _)| *algorithm)
}

/// Octets of its MAC.
pub fn length(algorithm: TsigAlgorithm) -> usize {
    match algorithm {
        TsigAlgorithm::Md5 => 16,
        TsigAlgorithm::Sha1 => 20,
        TsigAlgorithm::Sha224 => 28,
        TsigAlgorithm::Sha256 => 32,
        TsigAlgorithm::Sha384 => 48,
        TsigAlgorithm::Sha512 => LONGEST,
    }
}

/// The MAC over `parts`.
pub fn sign(algorithm: TsigAlgorithm, secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    fn run<M: Mac + KeyInit>(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        keyed::<M>(secret, parts).finalize().into_bytes().to_vec()
    }
    match algorithm {
        TsigAlgorithm::Md5 => run::<Hmac<Md5>>(secret, parts),
        TsigAlgorithm::Sha1 => run::<Hmac<Sha1>>(secret, parts),
        TsigAlgorithm::Sha224 => run::<Hmac<Sha224>>(secret, parts),
        TsigAlgorithm::Sha256 => run::<Hmac<Sha256>>(secret, parts),
        TsigAlgorithm::Sha384 => run::<Hmac<Sha384>>(secret, parts),
        TsigAlgorithm::Sha512 => run::<Hmac<Sha512>>(secret, parts),
    }
}

/// True where `mac`, or as many octets of it as there are, is the MAC over `parts`; takes as long for a wrong one as for the right one.
pub fn verify(algorithm: TsigAlgorithm, secret: &[u8], parts: &[&[u8]], mac: &[u8]) -> bool {
    fn run<M: Mac + KeyInit>(secret: &[u8], parts: &[&[u8]], mac: &[u8]) -> bool {
        keyed::<M>(secret, parts).verify_truncated_left(mac).is_ok()
    }
    match algorithm {
        TsigAlgorithm::Md5 => run::<Hmac<Md5>>(secret, parts, mac),
        TsigAlgorithm::Sha1 => run::<Hmac<Sha1>>(secret, parts, mac),
        TsigAlgorithm::Sha224 => run::<Hmac<Sha224>>(secret, parts, mac),
        TsigAlgorithm::Sha256 => run::<Hmac<Sha256>>(secret, parts, mac),
        TsigAlgorithm::Sha384 => run::<Hmac<Sha384>>(secret, parts, mac),
        TsigAlgorithm::Sha512 => run::<Hmac<Sha512>>(secret, parts, mac),
    }
}

fn keyed<M: Mac + KeyInit>(secret: &[u8], parts: &[&[u8]]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn each_hash_gives_what_its_rfc_says() {
        // Key "Jefe", "what do ya want for nothing?": RFC 2202 section 2 and 3, RFC 4231 section 4.3.
        for (algorithm, want) in [
            (TsigAlgorithm::Md5, "750c783e6ab0b503eaa86e310a5db738"),
            (TsigAlgorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (TsigAlgorithm::Sha224, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
            (TsigAlgorithm::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (TsigAlgorithm::Sha384, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"),
            (
                TsigAlgorithm::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
            let mac = sign(algorithm, b"Jefe", &parts);
            assert_eq!((HEXLOWER.encode(&mac), mac.len()), (want.into(), length(algorithm)));
            assert!(verify(algorithm, b"Jefe", &parts, &mac) && verify(algorithm, b"Jefe", &parts, &mac[..10]));
            assert!(!verify(algorithm, b"jefe", &parts, &mac) && !verify(algorithm, b"Jefe", &parts[..1], &mac));
            assert_eq!(of_wire_name(wire_name(algorithm)), Some(algorithm));
        }
    }
}
