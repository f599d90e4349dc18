//! Queries from a capture file in the formats pcap and pcapng.
//!
//! Both formats consist of a few fixed headers, so the parser is part of this crate. It reads plain
//! packets only. TCP and fragments are skipped and counted.

use std::path::Path;

use super::QuestionBank;
use super::queryfile::MOST_QUESTIONS;

/// Largest packet size that counts as valid, in octets.
const MOST_OCTETS: usize = 1 << 18;
/// Largest capture in octets. The whole file is read into memory.
const LARGEST_FILE: u64 = 4 << 30;

/// Reasons why a capture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadCapture {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// Path of the file.
        path: String,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The file exceeds the largest size.
    #[error("{0}: larger than 4 GiB; cut it with `editcap -c`")]
    Large(String),
    /// The file is neither pcap nor pcapng.
    #[error("{0}: neither a pcap nor a pcapng file")]
    Format(String),
    /// The file contains no query.
    #[error("{path}: no DNS query over UDP to port {port} in it ({packets} packets read)")]
    Empty {
        /// Path of the file.
        path: String,
        /// Destination port of the queries.
        port: u16,
        /// Number of packets in the file.
        packets: u64,
    },
}

/// Reads the queries of a capture unchanged and in order. Queries are UDP datagrams to `port`.
pub fn read(path: &Path, port: u16) -> Result<QuestionBank, BadCapture> {
    let name = path.display().to_string();
    let failed = |error| BadCapture::Read { path: name.clone(), error };
    if std::fs::metadata(path).map_err(failed)?.len() > LARGEST_FILE {
        return Err(BadCapture::Large(name));
    }
    parse(&std::fs::read(path).map_err(failed)?, &name, port)
}

/// Parses a capture. `path` is used only in messages.
pub fn parse(octets: &[u8], path: &str, port: u16) -> Result<QuestionBank, BadCapture> {
    let mut questions = QuestionBank::in_turn(format!("capture {path}"));
    let mut packets = 0u64;
    let mut skipped = 0u64;
    let mut each = |link: u32, packet: &[u8]| {
        packets += 1;
        match datagram(link, packet) {
            Some((to, payload)) if to == port && questions.len() < MOST_QUESTIONS => {
                skipped += u64::from(!questions.push_captured(payload))
            }
            _ => skipped += 1,
        }
    };
    match octets.get(..4) {
        Some([0x0a, 0x0d, 0x0d, 0x0a]) => each_of_pcapng(octets, &mut each),
        Some(magic) => match Order::of_pcap([magic[0], magic[1], magic[2], magic[3]]) {
            Some(order) => each_of_pcap(octets, order, &mut each),
            None => return Err(BadCapture::Format(path.to_string())),
        },
        None => return Err(BadCapture::Format(path.to_string())),
    }
    if questions.is_empty() {
        return Err(BadCapture::Empty { path: path.to_string(), port, packets });
    }
    if skipped > 0 {
        questions.notes.push(format!("{skipped} of {packets} packets are no query over UDP to port {port} and were left out"));
    }
    Ok(questions)
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    /// Recognizes the magic numbers for microseconds and nanoseconds in both byte orders.
    fn of_pcap(magic: [u8; 4]) -> Option<Self> {
        match u32::from_be_bytes(magic) {
            0xa1b2_c3d4 | 0xa1b2_3c4d => Some(Order::Big),
            0xd4c3_b2a1 | 0x4d3c_b2a1 => Some(Order::Little),
            _ => None,
        }
    }

    fn u16(self, octets: &[u8], at: usize) -> Option<u16> {
        let octets = [*octets.get(at)?, *octets.get(at + 1)?];
        Some(match self {
            Order::Little => u16::from_le_bytes(octets),
            Order::Big => u16::from_be_bytes(octets),
        })
    }

    fn u32(self, octets: &[u8], at: usize) -> Option<u32> {
        let octets: [u8; 4] = octets.get(at..at + 4)?.try_into().ok()?;
        Some(match self {
            Order::Little => u32::from_le_bytes(octets),
            Order::Big => u32::from_be_bytes(octets),
        })
    }
}

/// Calls `each` for every packet. A file that ends in the middle of a packet ends before that
/// packet, because captures are often cut off.
fn each_of_pcap(octets: &[u8], order: Order, each: &mut impl FnMut(u32, &[u8])) {
    let Some(link) = order.u32(octets, 20) else { return };
    let mut at = 24;
    while let Some(length) = order.u32(octets, at + 8).map(|length| length as usize) {
        let Some(packet) = octets.get(at + 16..at + 16 + length.min(MOST_OCTETS)) else { return };
        if length > MOST_OCTETS {
            return;
        }
        each(link & 0x0fff_ffff, packet);
        at += 16 + length;
    }
}

fn each_of_pcapng(octets: &[u8], each: &mut impl FnMut(u32, &[u8])) {
    const SECTION: u32 = 0x0a0d_0d0a;
    const INTERFACE: u32 = 1;
    const SIMPLE: u32 = 3;
    const ENHANCED: u32 = 6;
    let mut order = Order::Little;
    let mut links = Vec::new();
    let mut at = 0;
    while let Some(kind) = order.u32(octets, at) {
        if kind == SECTION {
            order = if octets.get(at + 8..at + 12) == Some(&[0x1a, 0x2b, 0x3c, 0x4d]) { Order::Big } else { Order::Little };
            links.clear();
        }
        let Some(length) = order.u32(octets, at + 4).map(|length| length as usize) else { return };
        let Some(block) = octets.get(at..at + length).filter(|_| length >= 12 && length % 4 == 0) else { return };
        match kind {
            INTERFACE => links.extend(order.u16(block, 8).map(u32::from)),
            ENHANCED => {
                let interface = order.u32(block, 8).and_then(|index| links.get(index as usize));
                let captured = order.u32(block, 20).map(|captured| captured as usize);
                if let (Some(link), Some(captured)) = (interface, captured)
                    && let Some(packet) = block.get(28..28 + captured.min(MOST_OCTETS))
                {
                    each(*link, packet);
                }
            }
            SIMPLE => {
                if let (Some(link), Some(original)) = (links.first(), order.u32(block, 8)) {
                    each(*link, &block[12..(12 + original as usize).min(block.len() - 4)]);
                }
            }
            _ => {}
        }
        at += length;
    }
}

/// Returns destination port and payload of a UDP datagram in a packet of this link type (the
/// LINKTYPE registry of tcpdump.org).
fn datagram(link: u32, packet: &[u8]) -> Option<(u16, &[u8])> {
    let big = Order::Big;
    let ip = match link {
        // Ethernet, with any number of VLAN tags.
        1 => {
            let mut at = 12;
            while matches!(big.u16(packet, at)?, 0x8100 | 0x88a8 | 0x9100) {
                at += 4;
            }
            packet.get(at + 2..)?
        }
        // BSD loopback: a protocol family of four octets.
        0 | 108 => packet.get(4..)?,
        // Raw IP.
        12 | 14 | 101 | 228 | 229 => packet,
        // Linux "any" device, versions 1 and 2.
        113 => packet.get(16..)?,
        276 => packet.get(20..)?,
        _ => return None,
    };
    let udp = match ip.first()? >> 4 {
        4 => {
            let header = usize::from(ip[0] & 0x0f) * 4;
            // The packet is a fragment.
            if big.u16(ip, 6)? & 0x3fff != 0 || *ip.get(9)? != 17 {
                return None;
            }
            ip.get(header..)?
        }
        6 if *ip.get(6)? == 17 => ip.get(40..)?,
        _ => return None,
    };
    let length = usize::from(big.u16(udp, 4)?);
    Some((big.u16(udp, 2)?, udp.get(8..length)?))
}

#[cfg(test)]
mod tests {
    use super::super::QuestionPicker;
    use super::*;
    use crate::message::{QueryForm, name_to_wire, write_query};

    fn query(name: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        write_query(&mut wire, &name_to_wire(name).unwrap(), 1, QueryForm::default());
        wire
    }

    fn ipv4(payload: &[u8], port: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        packet.extend_from_slice(&4242u16.to_be_bytes());
        packet.extend_from_slice(&port.to_be_bytes());
        packet.extend_from_slice(&(payload.len() as u16 + 8).to_be_bytes());
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(payload);
        packet
    }

    fn ethernet(payload: &[u8]) -> Vec<u8> {
        [&[0u8; 12][..], &[0x81, 0, 0, 7, 0x08, 0], payload].concat()
    }

    fn pcap(link: u32, packets: &[Vec<u8>], big: bool) -> Vec<u8> {
        let u32 = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut file = [&u32(0xa1b2_c3d4)[..], &[0; 16], &u32(link)].concat();
        for packet in packets {
            file.extend([&u32(1)[..], &u32(2), &u32(packet.len() as u32), &u32(packet.len() as u32), packet].concat());
        }
        file
    }

    fn pcapng(link: u16, packets: &[Vec<u8>]) -> Vec<u8> {
        let block = |kind: u32, body: &[u8]| {
            let padded = body.len().next_multiple_of(4);
            let length = (padded as u32 + 12).to_le_bytes();
            [&kind.to_le_bytes()[..], &length, body, &vec![0; padded - body.len()], &length].concat()
        };
        let mut file = block(0x0a0d_0d0a, &[&0x1a2b_3c4du32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
        file.extend(block(1, &[&link.to_le_bytes()[..], &[0, 0], &[0; 4]].concat()));
        for packet in packets {
            let length = (packet.len() as u32).to_le_bytes();
            file.extend(block(6, &[&[0u8; 12][..], &length, &length, packet].concat()));
        }
        file
    }

    fn asked(file: &[u8]) -> Vec<String> {
        let questions = parse(file, "c.pcap", 53).unwrap();
        let mut picker = QuestionPicker::new(0, 0, 1);
        (0..questions.len()).map(|_| questions.describe(picker.pick(&questions))).collect()
    }

    #[test]
    fn queries_are_found_in_every_format_and_link_type() {
        let mut response = query("r.example");
        response[2] |= 0x80;
        let raw = [ipv4(&query("a.example"), 53), ipv4(&query("b.example"), 5353), ipv4(&response, 53), ipv4(&query("c.example"), 53)];
        let framed: Vec<Vec<u8>> = raw.iter().map(|packet| ethernet(packet)).collect();
        let expected = ["a.example. A", "c.example. A"];
        assert_eq!(asked(&pcap(101, &raw, false)), expected);
        assert_eq!(asked(&pcap(1, &framed, true)), expected);
        assert_eq!(asked(&pcapng(101, &raw)), expected);
        assert_eq!(asked(&pcapng(1, &framed)), expected);
        assert_eq!(parse(&pcap(101, &raw, false), "c.pcap", 53).unwrap().notes.len(), 1);
    }

    #[test]
    fn a_file_cut_anywhere_neither_fails_nor_invents() {
        let raw = [ipv4(&query("a.example"), 53), ipv4(&query("b.example"), 53)];
        for file in [pcap(101, &raw, false), pcapng(101, &raw)] {
            for length in 0..file.len() {
                if let Ok(questions) = parse(&file[..length], "c.pcap", 53) {
                    assert!(questions.len() <= 2);
                }
            }
        }
        assert!(matches!(parse(b"what is this", "c.pcap", 53), Err(BadCapture::Format(_))));
    }
}
