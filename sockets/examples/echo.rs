//! A UDP server that answers whole batches with two system calls, and a client that sends a batch
//! with one.
//!
//! ```sh
//! cargo run -p postern-sockets --example echo
//! ```

use std::error::Error;
use std::io;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use postern_sockets::{ClientBatch, DatagramBatch, SocketPoller, UdpOptions, bind_udp};

/// Number of datagrams that the client sends.
const COUNT: usize = 32;
/// Size of a buffer in octets. A longer datagram is truncated, and `Datagram::truncated` reports
/// it.
const SIZE: usize = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let server = bind_udp("127.0.0.1:0".parse()?, &UdpOptions { reuse_port: false, ..UdpOptions::default() })?;
    let address = server.local_addr()?;
    let serving = thread::spawn(move || serve(&server));

    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    let received = ask(&socket)?;
    assert_eq!(received.len(), COUNT);
    assert!(received.contains(&"ECHO 7".to_owned()));

    let (answered, calls) = serving.join().expect("the server does not panic")?;
    println!("{answered} datagrams were answered in {calls} batches");
    Ok(())
}

/// Replies until every datagram of the client was answered. Returns their number and the number of
/// batches.
fn serve(socket: &UdpSocket) -> io::Result<(usize, usize)> {
    let mut batch = DatagramBatch::new(64, SIZE);
    let (mut answered, mut calls) = (0, 0);
    while answered < COUNT {
        // One system call receives whatever is waiting, up to the size of the batch.
        let count = batch.receive(socket, true)?;
        for index in 0..count {
            let datagram = batch.datagram(index);
            let length = datagram.length;
            datagram.buffer[..length].make_ascii_uppercase(); // the reply overwrites the query
            batch.reply(index, length);
        }
        // One system call sends all replies of the batch, each to the sender of its datagram.
        answered += batch.send(socket).sent;
        calls += usize::from(count > 0);
    }
    Ok((answered, calls))
}

/// Sends all datagrams with one system call, and collects the answers.
fn ask(socket: &UdpSocket) -> Result<Vec<String>, Box<dyn Error>> {
    let mut batch = ClientBatch::new(COUNT, SIZE);
    for index in 0..COUNT {
        let text = format!("echo {index}");
        batch.fill(index, |buffer| {
            buffer[..text.len()].copy_from_slice(text.as_bytes());
            text.len()
        });
    }
    let mut sent = 0;
    while sent < COUNT {
        sent += batch.send(socket, sent, COUNT)?;
    }
    let mut poller = SocketPoller::new(1)?;
    poller.add(socket, 0, false)?;
    let mut received = Vec::new();
    while received.len() < COUNT {
        poller.wait(Some(Duration::from_secs(60)))?;
        let count = batch.receive(socket)?;
        received.extend((0..count).map(|index| String::from_utf8_lossy(batch.datagram(index)).into_owned()));
    }
    Ok(received)
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    main()
}
