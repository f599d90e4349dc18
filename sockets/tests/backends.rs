//! Every back end passes the same tests. A new one is one line in `with_every_backend`.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use postern_sockets::{DatagramBackend, KernelBackend, UdpOptions, bind_udp, receive, send_to_from};

/// Calls a test with each back end as its type parameter.
macro_rules! with_every_backend {
    ($test:ident) => {
        $test::<KernelBackend>();
    };
}

fn server() -> Arc<UdpSocket> {
    let options = UdpOptions { read_timeout: Some(Duration::from_millis(50)), ..UdpOptions::default() };
    Arc::new(bind_udp("127.0.0.1:0".parse().unwrap(), &options).unwrap())
}

fn client(server: &UdpSocket) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap(); // accepts replies from that address alone
    client
}

/// Receives until a datagram has arrived.
fn next<B: DatagramBackend>(backend: &mut B) -> usize {
    (0..1200).find_map(|_| Some(backend.receive(true).unwrap()).filter(|received| *received > 0)).expect("a datagram within a minute")
}

fn check_replies<B: DatagramBackend>() {
    let socket = server();
    let mut backend = B::open(&socket, 8, 512).unwrap();
    assert_eq!(backend.receive(false).unwrap(), 0, "nothing was sent");
    let client = client(&socket);
    for round in 1..=20u8 {
        client.send(&[round, 7, 8]).unwrap();
        assert_eq!(next(&mut backend), 1);
        assert_eq!(backend.peek(0), (client.local_addr().unwrap(), &[round, 7, 8][..]));
        let datagram = backend.datagram(0);
        assert_eq!((datagram.peer, datagram.length, datagram.truncated), (client.local_addr().unwrap(), 3, false));
        datagram.buffer[..3].reverse();
        backend.reply(0, 3);
        let sent = backend.send();
        assert_eq!((sent.sent, sent.lost), (1, 0), "{:?}", sent.error);
        let mut reply = [0; 16];
        assert_eq!(receive(&client, &mut reply).unwrap().0, 3);
        assert_eq!(reply[..3], [8, 7, round]);
    }
}

fn check_sizes<B: DatagramBackend>() {
    let socket = server();
    let mut backend = B::open(&socket, 4, 100).unwrap();
    let client = client(&socket);
    for (size, length, want) in [(100, 101, (100, true)), (200, 101, (101, false)), (100, 100, (100, false))] {
        backend.resize(size);
        client.send(&vec![5; length]).unwrap();
        assert_eq!(next(&mut backend), 1);
        let datagram = backend.datagram(0);
        assert_eq!((datagram.length, datagram.truncated, datagram.buffer.len()), (want.0, want.1, size));
    }
}

fn check_late_replies<B: DatagramBackend>() {
    let socket = server();
    let mut backend = B::open(&socket, 4, 100).unwrap();
    let client = client(&socket);
    client.send(&[1]).unwrap();
    assert_eq!(next(&mut backend), 1);
    let datagram = backend.datagram(0);
    let (peer, local) = (datagram.peer, datagram.local);
    assert_eq!(backend.send().sent, 0, "no reply was marked");
    send_to_from(&socket, b"later", peer, local).unwrap();
    let mut reply = [0; 16];
    assert_eq!(receive(&client, &mut reply).unwrap().0, 5);
}

#[test]
fn every_backend_replies_from_the_address_that_was_queried() {
    with_every_backend!(check_replies);
}

#[test]
fn every_backend_reports_truncation_and_changes_its_buffers() {
    with_every_backend!(check_sizes);
}

#[test]
fn replies_that_come_later_leave_by_the_kernel_socket() {
    with_every_backend!(check_late_replies);
}
