//! DNS cookies (RFC 7873): a client that returns the server's cookie has proved that it receives what is sent to its address.
//!
//! The server cookie is the one of RFC 9018, which other servers make alike: version, time, and SipHash-2-4 over both and the client's
//! cookie and address. It is checked without any state. Nothing here is done for a message without a COOKIE option.

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use siphasher::sip::SipHasher24;

/// Octets of a client cookie.
const CLIENT: usize = 8;
/// Octets of client and server cookie.
const BOTH: usize = 24;
/// Version of server cookies (RFC 9018 section 4.1).
const VERSION: u8 = 1;
/// Seconds that a server cookie holds, and that it may be ahead of this server's clock (RFC 9018 section 4.3).
const LIFETIME: i32 = 3600;
const AHEAD: i32 = 300;
/// Seconds after which a client gets a new one.
const RENEWED: i32 = 1800;
/// Seconds that one key is used. RFC 7873 section 7.1 asks for 36 days at most.
const KEY_LIFETIME: u32 = 30 * 86_400;

/// The COOKIE option of a message, and what the answer returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieOption {
    octets: [u8; BOTH],
    proof: CookieProof,
    is_settled: bool,
}

/// Verdict on a COOKIE option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieProof {
    /// Nothing: it holds the client's cookie alone.
    Missing,
    /// Nothing: the server cookie is not one that this server gives to the client now.
    Wrong,
    /// Nothing yet: the server cookie has the right form.
    Unchecked,
    /// The client receives what is sent to its address.
    Good,
}

/// The key of this process. It is never written anywhere: after a restart clients get new cookies.
#[derive(Debug)]
pub struct CookieKey([u64; 2]);

impl CookieOption {
    /// Reads the data of a COOKIE option. `None` if it has no length that RFC 7873 section 5.2.2 allows.
    pub fn read(option: &[u8]) -> Option<Self> {
        let mut octets = [0; BOTH];
        let proof = match option.len() {
            CLIENT => CookieProof::Missing,
            BOTH if option[CLIENT] == VERSION => CookieProof::Unchecked,
            16..=40 => CookieProof::Wrong,
            _ => return None,
        };
        let known = option.len().min(BOTH);
        octets[..known].copy_from_slice(&option[..known]);
        Some(Self { octets, proof, is_settled: false })
    }

    /// Checks the server cookie, and puts the one for the answer in its place. `seconds`: of UNIX time.
    pub fn settle(&mut self, key: &CookieKey, client: IpAddr, seconds: u32) {
        self.is_settled = true;
        let client = client.to_canonical();
        let made = u32::from_be_bytes([self.octets[12], self.octets[13], self.octets[14], self.octets[15]]);
        let age = seconds.wrapping_sub(made) as i32; // serial arithmetic (RFC 1982)
        if self.proof == CookieProof::Unchecked {
            let is_good = (-AHEAD..=LIFETIME).contains(&age) && key.hash(&self.octets, client, made) == self.octets[16..];
            self.proof = if is_good { CookieProof::Good } else { CookieProof::Wrong };
        }
        if self.proof != CookieProof::Good || !(0..=RENEWED).contains(&age) {
            self.octets[CLIENT..12].copy_from_slice(&[VERSION, 0, 0, 0]);
            self.octets[12..16].copy_from_slice(&seconds.to_be_bytes());
            let hash = key.hash(&self.octets, client, seconds);
            self.octets[16..].copy_from_slice(&hash);
        }
    }

    /// The same with the key of this process, at this moment.
    #[cold]
    pub fn settle_now(&mut self, client: IpAddr) {
        static KEY: LazyLock<CookieKey> = LazyLock::new(|| CookieKey([rand::random(), rand::random()]));
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as u32); // RFC 9018: modulo 2^32
        self.settle(&KEY, client, seconds);
    }

    /// Returns the result of the check.
    pub fn proof(&self) -> CookieProof {
        self.proof
    }

    /// Data of the COOKIE option in the answer. Empty before the cookie was settled: no answer has an option then.
    pub fn octets(&self) -> &[u8] {
        if self.is_settled { &self.octets } else { &[] }
    }
}

impl CookieKey {
    /// Hash of RFC 9018 section 4.4, over the first half of the cookies and the client's address.
    fn hash(&self, cookies: &[u8; BOTH], client: IpAddr, made: u32) -> [u8; 8] {
        let period = made / KEY_LIFETIME;
        let key = |half: u64| {
            let mut hasher = SipHasher24::new_with_keys(self.0[0], self.0[1]);
            hasher.write(&(u64::from(period) << 1 | half).to_le_bytes());
            hasher.finish()
        };
        hash(key(0), key(1), cookies, client)
    }
}

fn hash(key: u64, more: u64, cookies: &[u8; BOTH], client: IpAddr) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_keys(key, more);
    hasher.write(&cookies[..16]);
    match client {
        IpAddr::V4(address) => hasher.write(&address.octets()),
        IpAddr::V6(address) => hasher.write(&address.octets()),
    }
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
    }

    #[test]
    fn server_cookies_are_those_of_rfc_9018() {
        // RFC 9018 appendix A: secret, client cookie and first half of the server cookie, client, hash.
        for (secret, cookies, client, want) in [
            ("e5e973e5a6b2a43f48e7dc849e37bfcf", "2464c4abcf10c957010000005cf79f11", "198.51.100.100", "1f8130c3eee29480"),
            ("e5e973e5a6b2a43f48e7dc849e37bfcf", "2464c4abcf10c957010000005cf7a871", "198.51.100.100", "d4a564a1442aca77"),
            ("e5e973e5a6b2a43f48e7dc849e37bfcf", "fc93fc62807ddb8601abcdef5cf78f71", "203.0.113.203", "a314227b6679ebf5"),
            (
                "445536bcd2513298075a5d379663c962",
                "22681ab97d52c298010000005cf7c609",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                "a6bb79d16625507a",
            ),
        ] {
            let secret: [u8; 16] = octets(secret);
            let half = |at: usize| u64::from_le_bytes(*secret[at..].first_chunk().unwrap());
            let given: [u8; BOTH] = octets(&format!("{cookies}{}", "0".repeat(16)));
            assert_eq!(hash(half(0), half(8), &given, client.parse().unwrap()), octets(want), "{client}");
        }
    }

    #[test]
    fn a_cookie_holds_for_an_hour_and_its_client_alone() {
        let key = CookieKey([1, 2]);
        let [client, other]: [IpAddr; 2] = ["10.20.0.7".parse().unwrap(), "10.20.0.8".parse().unwrap()];
        let now = 1_800_000_000;
        let mut first = CookieOption::read(&[9; CLIENT]).unwrap();
        first.settle(&key, client, now);
        assert_eq!((first.proof(), &first.octets()[..12]), (CookieProof::Missing, &[9, 9, 9, 9, 9, 9, 9, 9, 1, 0, 0, 0][..]));
        let again = |octets: &[u8], client, seconds| {
            let mut cookie = CookieOption::read(octets).unwrap();
            cookie.settle(&key, client, seconds);
            (cookie.proof(), cookie.octets() == first.octets())
        };
        use CookieProof::{Good, Wrong};
        let given = first.octets();
        assert_eq!(again(given, client, now), (Good, true));
        assert_eq!(again(given, "::ffff:10.20.0.7".parse().unwrap(), now), (Good, true), "the same client on a socket of both families");
        assert_eq!(again(given, client, now + 1800), (Good, true));
        assert_eq!(again(given, client, now + 1801), (Good, false), "renewed");
        assert_eq!(again(given, client, now + 3601), (Wrong, false));
        assert_eq!(again(given, client, now - 300), (Good, false), "another server's clock may be ahead");
        assert_eq!(again(given, client, now - 301), (Wrong, false));
        assert_eq!(again(given, other, now), (Wrong, false));
        for octet in 0..BOTH {
            let mut forged = [0; BOTH];
            forged.copy_from_slice(given);
            forged[octet] ^= 0x10;
            assert_eq!(again(&forged, client, now).0, Wrong, "octet {octet}");
        }
    }

    #[test]
    fn only_lengths_that_the_rfc_allows_are_cookies() {
        for length in 0..=48 {
            let read = CookieOption::read(&vec![1; length]).map(|cookie| cookie.proof());
            let want = match length {
                8 => Some(CookieProof::Missing),
                24 => Some(CookieProof::Unchecked),
                16..=40 => Some(CookieProof::Wrong),
                _ => None,
            };
            assert_eq!(read, want, "{length}");
        }
    }
}
