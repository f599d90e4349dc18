//! Telling secondaries that a zone changed (RFC 1996): one datagram, again after 1, 2, 4, 8 and 16 seconds until it is answered.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use zones::zone::{Zone, rtype};

use super::secondary::unix_seconds;
use crate::tsig::{Key, Signer};

/// Longest pause before the next try, and the last one (RFC 1996 section 3.6 leaves both to us; others will ask by their timers).
const LAST: Duration = Duration::from_secs(16);

/// Tells one secondary, and says in the log when it did not answer.
pub async fn tell(secondary: SocketAddr, zone: Arc<Zone>, key: Option<Arc<Key>>) {
    let mut pause = Duration::from_secs(1);
    while pause <= LAST {
        match try_once(secondary, &zone, key.clone(), pause).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(zone = %zone.apex(), %secondary, "NOTIFY: {error}");
                tokio::time::sleep(pause).await; // an error comes at once: no reason to ask faster
            }
        }
        pause *= 2;
    }
    tracing::warn!(zone = %zone.apex(), %secondary, serial = zone.serial(), "NOTIFY was not answered: the secondary learns of the change by its own timers");
}

/// One datagram; true where it was answered in time, whatever the answer.
async fn try_once(secondary: SocketAddr, zone: &Zone, key: Option<Arc<Key>>, patience: Duration) -> std::io::Result<bool> {
    let any: SocketAddr = if secondary.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).await?; // a port of its own for each try: answers cannot be guessed
    socket.connect(secondary).await?;
    let mut message = notification(zone);
    let id = [message[0], message[1]];
    let mut signer = key.map(|key| Signer::begin(key, &mut message, unix_seconds()));
    socket.send(&message).await?;
    let answered = async {
        let mut buffer = [0u8; 1500];
        loop {
            let length = socket.recv(&mut buffer).await?;
            let answer = &buffer[..length];
            let is_answer = length >= 12 && answer[..2] == id && answer[2] & 0xf8 == 0xa0; // QR, opcode NOTIFY
            let is_believed = signer.as_mut().is_none_or(|signer| signer.check(answer, true, unix_seconds()).is_ok());
            if is_answer && is_believed {
                return Ok(true);
            }
        }
    };
    timeout(patience, answered).await.unwrap_or(Ok(false))
}

/// NOTIFY with the SOA as a hint (RFC 1996 section 3.7).
fn notification(zone: &Zone) -> Vec<u8> {
    let mut message = rand::random::<[u8; 2]>().to_vec();
    message.extend_from_slice(&[0x24, 0, 0, 1, 0, 1, 0, 0, 0, 0]); // opcode NOTIFY, AA
    message.extend_from_slice(zone.apex().as_wire());
    message.extend_from_slice(&rtype::SOA.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message.extend_from_slice(zone.soa().wire); // its owner points at the question
    message
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Message, OpCode};
    use zones::name::WireName;
    use zones::zone::ZoneBuilder;

    use super::*;

    fn zone() -> Arc<Zone> {
        Arc::new(ZoneBuilder::new(WireName::parse("privatelink.contoso.test").unwrap()).finish(9).unwrap().zone)
    }

    #[test]
    fn a_notification_names_the_zone_and_its_serial() {
        let message = Message::from_vec(&notification(&zone())).unwrap();
        assert_eq!((message.metadata.op_code, message.metadata.authoritative), (OpCode::Notify, true));
        assert_eq!(message.queries[0].name().to_string(), "privatelink.contoso.test.");
        assert!(
            message.answers[0].to_string().contains(" SOA ") && message.answers[0].to_string().contains(" 9 "),
            "{}",
            message.answers[0]
        );
    }

    #[tokio::test]
    async fn it_is_told_again_until_it_is_answered() {
        let secondary = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = secondary.local_addr().unwrap();
        let telling = tokio::spawn(tell(address, zone(), None));
        let mut buffer = [0u8; 1500];
        let (_, _) = secondary.recv_from(&mut buffer).await.unwrap();
        let (length, from) = secondary.recv_from(&mut buffer).await.unwrap();
        buffer[2] |= 0x80;
        secondary.send_to(&buffer[..length], from).await.unwrap();
        timeout(Duration::from_secs(30), telling).await.expect("it ends with the answer").unwrap();
    }
}
