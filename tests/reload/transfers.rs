//! Zone transfers while the server reloads.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType::AXFR;

use crate::harness::{eventually, query, write_files};
use crate::{CONTOSO, FABRIKAM, Site, zone};

/// Reloads of one test.
const RELOADS: usize = 60;

/// A reload copies and indexes these keys between the new snapshot and the new configuration. With as many, the moment in which the two differ
/// is long enough for several questions.
const KEYS: usize = 400;

/// A configuration that grants the transfer, with `[[zone]]` this many lines further down. The log is quiet because each transfer is a line.
fn moved_by(lines: usize) -> String {
    let keys: String = (0..KEYS)
        .map(|key| format!("[[key]]\nname = 'key{key}'\nsecret = 'c2VjcmV0IG9mIGEgdGVzdCwgMzIgb2N0ZXRz'\nallow = ['query']\n"))
        .collect();
    let server = "[server]\nlisten = ['127.0.0.1:0']\npoll = '1h'\nsettle = '5s'\n[log]\nlevel = 'error'\n";
    let zone = "[[zone]]\nname = 'contoso.test'\ndirectory = 'zones'\ntransfer-to = ['127.0.0.1']\n";
    let route = "[[forward]]\nzone = '.'\nupstreams = ['127.0.0.1:1']\n";
    format!("{server}{}{zone}{keys}{route}", "# moves the zone\n".repeat(lines))
}

/// Asks for the zone over one connection until `is_over`, and counts the answers. Returns the number of those that were refused.
fn transfer_until(is_over: &AtomicBool, address: SocketAddr, answers: &AtomicUsize) -> usize {
    let question = query("contoso.test", AXFR).to_vec().unwrap();
    let question = [&(question.len() as u16).to_be_bytes()[..], &question].concat();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut refused = 0;
    while !is_over.load(Relaxed) {
        stream.write_all(&question).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer).unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        match answer.metadata.response_code {
            ResponseCode::Refused => refused += 1,
            code => assert_eq!((code, answer.answers.len()), (ResponseCode::NoError, 3), "{answer:?}"),
        }
        answers.fetch_add(1, Relaxed);
    }
    refused
}

#[test]
fn a_transfer_is_granted_throughout_reloads_that_move_its_zone_to_other_lines() {
    let site = Site::new(|directory| {
        let loud = moved_by(0).replace("'error'", "'info'");
        write_files(directory, &[("postern.toml", &loud), (CONTOSO, &zone(1)), (FABRIKAM, &zone(1))]);
    });
    let reload = |lines: usize| {
        site.server.write("postern.toml", &moved_by(lines));
        let before = site.systemd.count();
        site.server.signal("HUP");
        let (_, after) = site.systemd.told(before, "RELOADING=1");
        site.systemd.told(after, "READY=1");
    };
    reload(0);
    let is_over = Arc::new(AtomicBool::new(false));
    let answers = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let clients = answers.clone().map(|answers| {
        let (is_over, address) = (is_over.clone(), site.server.address);
        thread::spawn(move || transfer_until(&is_over, address, &answers))
    });
    let counts = || answers.each_ref().map(|answers| answers.load(Relaxed));
    for number in 1..=RELOADS {
        let before = counts();
        reload(number % 2 * 7);
        eventually("an answer for each client", || {
            assert!(!clients.iter().any(JoinHandle::is_finished), "a client ended");
            counts().iter().zip(before).all(|(now, before)| *now > before).then_some(())
        });
    }
    is_over.store(true, Relaxed);
    let refused: usize = clients.map(|client| client.join().unwrap()).iter().sum();
    assert_eq!(refused, 0, "of {} transfers", counts().iter().sum::<usize>());
}
