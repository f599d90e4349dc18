//! Good messages, damaged at random, and what they cost.

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;
use crate::{HEADER, NAME, OPT, OPT_NSID, RECORD, TSIG, fhir, frame, message, question, read_frame, seen, world};

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn octet(&mut self) -> u8 {
        const TELLING: [u8; 12] = [0, 1, 2, 0x0c, 0x29, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xfa, 0xff];
        if self.below(2) == 0 { TELLING[self.below(TELLING.len())] } else { self.next() as u8 }
    }
}

/// Good messages of every kind, to be damaged.
fn seeds() -> Vec<Vec<u8>> {
    let soa = b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let public = b"\x0fcontosows-fhir1\x04fhir\x13azurehealthcareapis\x03com\0";
    vec![
        message(0x0100, [1, 0, 0, 0], &[&fhir()]),
        message(0x0120, [1, 0, 0, 1], &[&question(public, 1, 1), OPT]),
        message(0x0110, [1, 0, 0, 1], &[&question(public, 65, 1), OPT_NSID]),
        message(0x0100, [1, 0, 0, 1], &[&question(b"\x03www\x07contoso\x04test\0", 28, 1), OPT]),
        message(0x0100, [1, 0, 0, 1], &[&question(NAME, 255, 1), b"\0\0\x29\xff\xff\0\0\x80\0\0\x0c\0\x0a\0\x08COOKIE!!"]),
        message(0, [1, 0, 0, 3], &[&fhir(), RECORD, OPT_NSID, TSIG]),
        message(0, [1, 0, 1, 1], &[&question(NAME, 251, 1), soa, OPT]),
        message(0x2800, [1, 1, 1, 1], &[&question(b"\x0bprivatelink\x13azurehealthcareapis\x03com\0", 6, 1), RECORD, RECORD, TSIG]),
        message(0x2400, [1, 1, 0, 0], &[&question(NAME, 6, 1), soa]),
        message(0, [1, 0, 0, 1], &[&question(b"\x07version\x04bind\0", 16, 3), OPT]),
        message(0x0100, [1, 0, 0, 0], &[&question(&[b"\x3f".to_vec(), vec![b'a'; 63]].concat().repeat(3), 1, 1), b"\0"]),
    ]
}

fn damaged(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = seeds[dice.below(seeds.len())].clone();
    for _ in 0..1 + dice.below(4) {
        // The first two octets are the ID, which the caller sets.
        let at = 2 + dice.below(packet.len().saturating_sub(2));
        let end = (at + dice.below(24)).min(packet.len());
        match dice.below(10) {
            _ if packet.len() <= at => packet.push(dice.octet()),
            0 | 1 => packet[at] ^= 1 << dice.below(8),
            2 | 3 => packet[at] = dice.octet(),
            4 => packet[at.min(2 + at % 10)] = dice.octet(),
            5 => packet.truncate(at),
            6 => drop(packet.drain(at..end)),
            7 => {
                let piece = packet[at..end].to_vec();
                packet.splice(at..at, piece);
            }
            8 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len());
                packet.splice(at.., other[from..].to_vec());
            }
            _ => (0..dice.below(40)).for_each(|_| packet.insert(at, dice.octet())),
        }
    }
    if dice.below(50) == 0 {
        packet = (0..dice.below(600)).map(|_| dice.octet()).collect();
    }
    packet
}

/// Messages of a run, by what came back.
type Tally = HashMap<String, usize>;

/// Datagrams that are under way on one socket: fewer than any receive buffer holds.
const BURST: usize = 64;

/// Sends `count` damaged messages over UDP. Each that is a query, however damaged, must be answered (RFC 8906), and no other.
fn damage_over_udp(server: SocketAddr, seed: u64, count: usize) -> Tally {
    let (mut dice, seeds, mut tally) = (Dice(seed), seeds(), Tally::new());
    // Several, so that every worker gets its share.
    let sockets: Vec<UdpSocket> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for socket in &sockets {
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut buffer = [0; 65_535];
    for burst in 0..count.div_ceil(BURST) {
        let socket = &sockets[burst % sockets.len()];
        let mut waiting = HashMap::new();
        for index in 0..BURST.min(count - burst * BURST) {
            let id = (burst * BURST + index) as u16;
            let mut packet = damaged(&mut dice, &seeds);
            packet.iter_mut().zip(id.to_be_bytes()).for_each(|(octet, id)| *octet = id);
            socket.send(&packet).unwrap();
            if packet.len() >= HEADER && packet[2] & 0x80 == 0 {
                waiting.insert(id, packet);
            } else {
                *tally.entry("silence".into()).or_default() += 1;
            }
        }
        while !waiting.is_empty() {
            let (length, _) = postern_sockets::receive(socket, &mut buffer).unwrap_or_else(|error| {
                let packets: Vec<String> = waiting.values().map(|packet| packet.escape_ascii().to_string()).collect();
                panic!("{error}: no answer, seed {seed}, to\n{}", packets.join("\n"));
            });
            let id = u16::from_be_bytes([buffer[0], buffer[1]]);
            let packet =
                waiting.remove(&id).unwrap_or_else(|| panic!("an answer too many, seed {seed}: {}", buffer[..length].escape_ascii()));
            *tally.entry(seen(&packet, &buffer[..length], true)).or_default() += 1;
        }
    }
    tally
}

/// The same over TCP, a connection for each burst.
fn damage_over_tcp(server: SocketAddr, seed: u64, count: usize) -> Tally {
    let (mut dice, seeds, mut tally) = (Dice(seed), seeds(), Tally::new());
    for burst in 0..count.div_ceil(BURST) {
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut octets, mut waiting) = (Vec::new(), HashMap::new());
        for index in 0..BURST.min(count - burst * BURST) {
            // Shorter than a header, it would end the connection.
            let mut packet = std::iter::repeat_with(|| damaged(&mut dice, &seeds)).find(|packet| packet.len() >= HEADER).expect("in time");
            packet.iter_mut().zip((index as u16).to_be_bytes()).for_each(|(octet, id)| *octet = id);
            octets.extend(frame(&packet));
            if packet[2] & 0x80 == 0 {
                waiting.insert(index as u16, packet);
            } else {
                *tally.entry("silence".into()).or_default() += 1;
            }
        }
        stream.write_all(&octets).unwrap();
        while !waiting.is_empty() {
            let answer = read_frame(&mut stream).expect("an answer");
            let id = u16::from_be_bytes([answer[0], answer[1]]);
            let packet = waiting.remove(&id).unwrap_or_else(|| panic!("an answer too many, seed {seed}: {}", answer.escape_ascii()));
            *tally.entry(seen(&packet, &answer, false)).or_default() += 1;
        }
    }
    tally
}

/// What caches, buffers and allocator may still take once they are warm, octets. Without a bound somewhere, 100,000 messages of 100 octets
/// would leave ten million octets at the least.
const GROWTH: u64 = 8 << 20;

#[test]
fn a_hundred_thousand_damaged_messages() {
    let world = world();
    let address = world.server.address;
    for seed in 1..=3 {
        damage_over_udp(address, seed, 10_000);
        damage_over_tcp(address, seed, 5_000);
    }
    let before = world.resident();
    let start = Instant::now();
    let udp = damage_over_udp(address, 0x9e37_79b9_7f4a_7c15, 70_000);
    let tcp = damage_over_tcp(address, 0xbf58_476d_1ce4_e5b9, 30_000);
    let after = world.resident();
    println!("100,000 messages in {:?}; resident {before} then {after} octets", start.elapsed());
    for (over, tally) in [("UDP", &udp), ("TCP", &tcp)] {
        let mut lines: Vec<_> = tally.iter().collect();
        lines.sort();
        lines.iter().for_each(|(what, count)| println!("{over} {count:6} {what}"));
        for kind in ["FORMERR", "FORMERR question opt", "NOTIMP question", "BADVERS question opt", "NOERROR question opt", "silence"] {
            assert!(tally.contains_key(kind), "{over}: never {kind}");
        }
    }
    std::thread::sleep(Duration::from_millis(100)); // what a panic would say
    world.is_well();
    assert!(after < before + GROWTH, "memory grew from {before} to {after} octets");
}
