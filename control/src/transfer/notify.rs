//! Telling secondaries that a zone changed (RFC 1996): one datagram, again after 1, 2, 4, 8 and 16 seconds until it is answered.
//!
//! One task for each secondary of a zone, however often the zone changes.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use postern_zones::zone::{Zone, rtype};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::timeout;

use super::secondary::unix_seconds;
use crate::tsig::{Signer, TsigKey};

/// Longest pause before the next try, and the last one (RFC 1996 section 3.6 leaves both to us; others will ask by their timers).
const LAST: Duration = Duration::from_secs(16);

/// One secondary of one zone, and the task that tells it: what changes while it is being told is told after, as one.
pub struct NotifyTask {
    key: Option<Arc<TsigKey>>,
    newest: watch::Sender<Option<Arc<Zone>>>,
}

impl NotifyTask {
    /// Starts a task, which ends when this is dropped.
    pub fn start(secondary: SocketAddr, key: Option<Arc<TsigKey>>) -> Self {
        let (newest, mut changed) = watch::channel(None::<Arc<Zone>>);
        let by = key.clone();
        tokio::spawn(async move {
            while changed.changed().await.is_ok() {
                tell(secondary, by.clone(), &mut changed).await;
            }
        });
        Self { key, newest }
    }

    /// True where it signs with this very key.
    pub fn is_by(&self, key: Option<&TsigKey>) -> bool {
        self.key.as_ref().map(|key| &key.policy) == key.map(|key| &key.policy)
    }

    /// Has the zone told.
    pub fn tell(&self, zone: Arc<Zone>) {
        self.newest.send_replace(Some(zone));
    }
}

/// Tells the newest zone, and says in the log when it was not answered.
async fn tell(secondary: SocketAddr, key: Option<Arc<TsigKey>>, newest: &mut watch::Receiver<Option<Arc<Zone>>>) {
    let mut pause = Duration::from_secs(1);
    loop {
        let Some(zone) = newest.borrow_and_update().clone() else { return };
        match try_once(secondary, &zone, key.clone(), pause).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(zone = %zone.apex(), %secondary, "NOTIFY: {error}");
                tokio::time::sleep(pause).await; // an error comes at once: no reason to ask faster
            }
        }
        if newest.has_changed().is_err() {
            return; // it is told no longer
        }
        pause *= 2;
        if pause > LAST {
            let serial = zone.serial();
            return tracing::warn!(zone = %zone.apex(), %secondary, serial, "NOTIFY was not acknowledged; the secondary will refresh on its own timers");
        }
    }
}

/// One datagram; true where it was answered in time, whatever the answer.
async fn try_once(secondary: SocketAddr, zone: &Zone, key: Option<Arc<TsigKey>>, patience: Duration) -> std::io::Result<bool> {
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
    use postern_zones::name::WireName;
    use postern_zones::zone::ZoneBuilder;

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
        let (newest, mut changed) = watch::channel(Some(zone()));
        let telling = tokio::spawn(async move { tell(address, None, &mut changed).await });
        let mut buffer = [0u8; 1500];
        let (_, _) = secondary.recv_from(&mut buffer).await.unwrap();
        let mut told = 1;
        let answering = async {
            loop {
                let (length, from) = secondary.recv_from(&mut buffer).await.unwrap();
                told += 1; // more than twice only where an answer came too late
                buffer[2] |= 0x80;
                secondary.send_to(&buffer[..length], from).await.unwrap();
            }
        };
        tokio::select! {
            done = telling => done.unwrap(),
            () = answering => {}
        }
        assert!((2..5).contains(&told), "{told}: it ends with the answer and is not given up");
        drop(newest);
    }

    #[tokio::test]
    async fn a_burst_of_changes_is_one_task_and_its_last_is_told() {
        let secondary = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let telling = NotifyTask::start(secondary.local_addr().unwrap(), None);
        for serial in 1..=100 {
            telling.tell(Arc::new(ZoneBuilder::new(WireName::parse("contoso.test").unwrap()).finish(serial).unwrap().zone));
            tokio::task::yield_now().await;
        }
        let mut told = Vec::new();
        let mut buffer = [0u8; 1500];
        while told.last() != Some(&100) {
            let (length, from) = timeout(Duration::from_secs(120), secondary.recv_from(&mut buffer)).await.expect("another").unwrap();
            told.push(u32::from_be_bytes(*buffer[length - 20..].first_chunk().unwrap()));
            buffer[2] |= 0x80;
            secondary.send_to(&buffer[..length], from).await.unwrap();
        }
        told.dedup(); // told again where an answer came too late
        assert!(told.len() <= 3, "{told:?}");
        assert!(telling.is_by(None));
    }
}
