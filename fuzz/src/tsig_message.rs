//! A message that is signed, or claims to be: the TSIG record, the check of its MAC, and the update inside.

use postern_control::tsig::{Keyring, Signer, find};
use postern_control::update::Update;
use postern_dns::wire::message::Message;

use super::world;

/// Seconds since 1970 at which every message arrives.
const NOW: u64 = 1_790_000_000;

/// Checks the message as it is. A message without a signature is signed, and must then be accepted and come back unchanged.
pub fn run(octets: &[u8]) -> bool {
    if octets.len() < postern_dns::wire::HEADER || octets.len() > 60_000 {
        return false;
    }
    let keyring = Keyring::new(world::configuration());
    let client = world::client().ip();
    drop(Update::read(octets));
    match find(octets) {
        Ok(Some(record)) => match keyring.verify(octets, &record, client, NOW) {
            Ok(verified) => {
                assert!(verified.message.len() < octets.len());
                true
            }
            Err(rejected) => {
                let mut answer = octets[..postern_dns::wire::HEADER].to_vec();
                answer[4..].fill(0);
                let room = answer.len() + rejected.reserve();
                rejected.put_on(&mut answer);
                assert!(answer.len() <= room, "an error takes more room than it reserved");
                false
            }
        },
        Ok(None) => sign_and_check(octets, &keyring),
        Err(_) => false,
    }
}

fn sign_and_check(octets: &[u8], keyring: &Keyring) -> bool {
    let key = keyring.key("fuzz-key").expect("a key of the configuration");
    let mut signed = octets.to_vec();
    let signer = Signer::begin(key, &mut signed, NOW);
    assert_eq!(signed.len(), octets.len() + signer.reserve(), "a signature takes the room that it reserves");
    if Message::read(octets).is_err() {
        return false;
    }
    // Octets behind the last record would be read as the signature.
    let Some(record) = find(&signed).ok().flatten().filter(|record| record.start == octets.len()) else { return false };
    let verified = keyring.verify(&signed, &record, world::client().ip(), NOW).expect("our own signature is right");
    assert_eq!(verified.message, octets);
    let last = signed.len() - 1;
    signed[last - 6] ^= 1; // the original ID, which is part of what is signed
    let record = find(&signed).ok().flatten().expect("a TSIG record");
    assert!(keyring.verify(&signed, &record, world::client().ip(), NOW).is_err(), "a changed message is rejected");
    true
}
