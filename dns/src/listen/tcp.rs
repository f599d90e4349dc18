//! DNS over a stream (RFC 1035 section 4.2.2, RFC 7766): many questions a read, one write for all that can be answered at once, the
//! others in whatever order their answers come.
//!
//! A connection is one task with one buffer. Questions that need an upstream are handed on with the connection's channel; while as many
//! of them wait as the limits allow, nothing more is read. An answer of several messages comes in parts, of which few wait at a time.
//! Nothing a client does makes it hold more than one question read in part, one buffer of answers, and that many waiting questions.
//! How many connections there may be, and which one gives way to a new one: [`super::places`].

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use postern_config::model::LimitsConfig;

use super::places::{BusyRule, ConnectionPlace, ConnectionPlaces, PlaceBounds, client_of};
use crate::return_path::ReplySender;
use crate::wire::HEADER;

/// Answers the questions of a stream.
pub trait StreamAnswerer: Send + Sync + 'static {
    /// Answers the question in the first `length` octets of `message`, in place; the buffer has room for the largest answer there is.
    fn answer(&self, message: &mut [u8], length: usize, client: SocketAddr, later: &ReplySender) -> StreamOutcome;
}

/// Outcome of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOutcome {
    /// The answer stands in the buffer and has this many octets.
    Now(usize),
    /// It comes through the channel.
    Later,
    /// There is none, and will be none.
    Never,
}

/// Largest message over a stream.
const MESSAGE: usize = 65_535;
/// A read takes this much at most: some hundred questions.
const READ: usize = 16 << 10;
/// Answers are written once this much waits, however many questions were read.
const WRITE: usize = 64 << 10;

thread_local! {
    /// Where answers are made: one for each thread, because making one never waits.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; MESSAGE].into());
}

/// Pause after an error of `accept`, if nothing could be done about it.
const PAUSE: Duration = Duration::from_millis(100);
/// An error of `accept` is logged once in this time, however often it repeats.
const LOGGED: Duration = Duration::from_secs(10);

/// The bounds on connections that `[limits]` sets.
pub fn bounds(limits: &LimitsConfig) -> PlaceBounds {
    PlaceBounds { all: limits.tcp_connections, per_client: limits.tcp_per_client, idle: Some(limits.tcp_idle) }
}

/// Places for the connections of all listeners.
pub fn places(limits: &LimitsConfig) -> Arc<ConnectionPlaces<IpAddr>> {
    ConnectionPlaces::new(bounds(limits), BusyRule::GivesWay)
}

/// Accepts connections until `stop` says so, then waits for none of them: the caller bounds how long they may go on. `limits`: those of a
/// new connection.
pub async fn serve(
    listener: TcpListener,
    limits: watch::Receiver<LimitsConfig>,
    places: Arc<ConnectionPlaces<IpAddr>>,
    answerer: Arc<impl StreamAnswerer>,
    mut stop: watch::Receiver<bool>,
) {
    let mut logged: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            // The client hung up before we came to it; everything else (no descriptors, no memory) passes with time.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                if logged.is_none_or(|logged| logged.elapsed() > LOGGED) {
                    tracing::warn!(%error, "cannot accept TCP connections; trying again, and closing idle ones");
                    logged = Some(Instant::now());
                }
                // The descriptor of a connection that gives way is free as soon as its task has run.
                let pause = if places.make_room(Instant::now().into_std()) { PAUSE / 20 } else { PAUSE };
                tokio::time::sleep(pause).await;
                continue;
            }
        };
        let Some(place) = places.take(client_of(client.ip()), Instant::now().into_std()) else { continue };
        let _ = stream.set_nodelay(true);
        let (limits, answerer, stop) = (limits.borrow().clone(), answerer.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                // A client that breaks off is no event.
                _ = converse(stream, client, &limits, &*answerer, &place, stop) => {}
                () = place.displaced() => {}
            }
        });
        // A connection that gave way closes before the next one is accepted. Otherwise a flood would hold more descriptors than places.
        tokio::task::yield_now().await;
    }
}

/// Answers the questions of one connection until the client closes it, is idle for too long, or `stop` says so.
pub async fn converse<S>(
    stream: S,
    client: SocketAddr,
    limits: &LimitsConfig,
    answerer: &impl StreamAnswerer,
    place: &ConnectionPlace<IpAddr>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let pipeline = limits.tcp_pipeline.max(1);
    let (later, mut coming) = ReplySender::of_connection(pipeline);
    let mut input: Vec<u8> = Vec::with_capacity(512);
    let mut output: Vec<u8> = Vec::new();
    let mut waiting = 0usize;
    let mut open = true;
    let mut stopping = false;
    let end_of_idle = || {
        let now = Instant::now();
        place.touch(now.into_std());
        now + limits.tcp_idle.min(place.idle_time())
    };
    let mut idle = end_of_idle();
    // Parts may stand in their channel when the end of their answer has been seen in the other.
    while open || waiting > 0 || !coming.parts.is_empty() {
        let reading = open && !stopping && waiting < pipeline;
        place.set_busy(waiting > 0);
        if stopping && waiting == 0 && coming.parts.is_empty() {
            break;
        }
        tokio::select! {
            read = read_some(&mut reader, &mut input), if reading => {
                open = read? > 0;
                let taken = answer_all(&mut input, &mut output, client, answerer, &later, pipeline - waiting);
                waiting += taken.waiting;
                open &= !taken.is_nonsense;
                if taken.questions > 0 {
                    idle = end_of_idle();
                }
            }
            Some(part) = coming.parts.recv() => {
                put_frame(&mut output, &part);
                idle = end_of_idle();
            }
            Some(answer) = coming.ends.recv(), if waiting > 0 => {
                let mut next = Some(answer);
                while let Some(answer) = next {
                    waiting -= 1;
                    put_frame(&mut output, &answer);
                    next = if output.len() < WRITE { coming.ends.try_recv().ok() } else { None };
                }
                // Questions that were read already, but not taken because too many waited.
                let taken = answer_all(&mut input, &mut output, client, answerer, &later, pipeline - waiting);
                waiting += taken.waiting;
                open &= !taken.is_nonsense;
                idle = end_of_idle();
            }
            // A question that waits has a deadline of its own; only then is silence the client's.
            () = sleep_until(idle), if waiting == 0 => break,
            _ = stop.wait_for(|stop| *stop), if !stopping => stopping = true,
        }
        place.set_busy(false); // a client that does not read its answers is idle
        while !output.is_empty() {
            timeout(limits.tcp_idle, writer.write_all(&output)).await.map_err(|_| io::ErrorKind::TimedOut)??;
            output.clear();
            // More of what was read may have been held back because enough answers waited to be written.
            let taken = answer_all(&mut input, &mut output, client, answerer, &later, pipeline - waiting);
            waiting += taken.waiting;
            open &= !taken.is_nonsense;
        }
        output.shrink_to(WRITE);
    }
    timeout(limits.tcp_idle, writer.shutdown()).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Outcome of the questions in a buffer.
#[derive(Debug, Default)]
struct Taken {
    questions: usize,
    waiting: usize,
    /// The rest is not DNS. The connection ends once the questions before it are answered.
    is_nonsense: bool,
}

/// Answers every whole question in `input` into `output`, until `room` of them wait for upstreams or enough is there to be written.
fn answer_all(
    input: &mut Vec<u8>,
    output: &mut Vec<u8>,
    client: SocketAddr,
    answerer: &impl StreamAnswerer,
    later: &ReplySender,
    room: usize,
) -> Taken {
    let mut taken = Taken::default();
    let mut at = 0;
    SCRATCH.with_borrow_mut(|scratch| {
        while taken.waiting < room && output.len() < WRITE {
            let Some(length) = input.get(at..at + 2).map(|octets| usize::from(u16::from_be_bytes([octets[0], octets[1]]))) else { break };
            if length < HEADER {
                // No DNS message: what follows cannot be told apart any more.
                taken.is_nonsense = true;
                at = input.len();
                break;
            }
            let Some(message) = input.get(at + 2..at + 2 + length) else { break };
            scratch[..length].copy_from_slice(message);
            match answerer.answer(scratch, length, client, later) {
                StreamOutcome::Now(length) => put_frame(output, &scratch[..length]),
                StreamOutcome::Later => taken.waiting += 1,
                StreamOutcome::Never => {}
            }
            taken.questions += 1;
            at += 2 + length;
        }
    });
    input.drain(..at);
    taken
}

/// Reads once; what was read before and not taken yet counts against the room.
async fn read_some(reader: &mut (impl AsyncRead + Unpin), input: &mut Vec<u8>) -> io::Result<usize> {
    // One whole message can always be read; else a client could stall us with a long one.
    let room = (MESSAGE + 2 + READ).saturating_sub(input.len()).min(READ);
    input.reserve(room.min(READ));
    reader.take(room as u64).read_buf(input).await
}

/// A message without octets is none: the end of an answer that came in parts, or of a question that gets none.
fn put_frame(output: &mut Vec<u8>, message: &[u8]) {
    if message.is_empty() {
        return;
    }
    output.extend_from_slice(&(message.len() as u16).to_be_bytes());
    output.extend_from_slice(message);
}

#[cfg(test)]
mod tests {
    use super::super::handler::{HandlerRequest, MessageKind};
    use super::*;
    use crate::clock::Now;
    use crate::return_path::ReplyTo;
    use crate::transport::{ClientTransport, PerListener};

    type Waiting = (Vec<u8>, ReplySender);

    /// Echoes with QR set; questions that start with `L` wait until the test sends an answer.
    #[derive(Default)]
    struct Echo {
        later: std::sync::Mutex<Vec<Waiting>>,
    }

    impl StreamAnswerer for Echo {
        fn answer(&self, message: &mut [u8], length: usize, _: SocketAddr, later: &ReplySender) -> StreamOutcome {
            message[2] |= 0x80;
            match message[0] {
                b'L' => {
                    self.later.lock().unwrap().push((message[..length].to_vec(), later.clone()));
                    StreamOutcome::Later
                }
                b'N' => StreamOutcome::Never,
                _ => StreamOutcome::Now(length),
            }
        }
    }

    fn limits() -> LimitsConfig {
        LimitsConfig {
            pending: 100,
            tcp_connections: 3,
            tcp_per_client: 2,
            tcp_idle: Duration::from_secs(60), // longer than a test stands still: no silence but that which is meant ends a connection
            tcp_pipeline: 4,
            responses_per_second: 0,
            query_deadline: Duration::from_secs(5),
            transfer_size: 1 << 20,
        }
    }

    fn place(limits: &LimitsConfig) -> ConnectionPlace<IpAddr> {
        places(limits).take([10, 20, 0, 7].into(), std::time::Instant::now()).unwrap()
    }

    fn question(first: u8, length: usize) -> Vec<u8> {
        let mut frame = (length as u16).to_be_bytes().to_vec();
        frame.extend(std::iter::repeat_n(0, length));
        frame[2] = first;
        frame
    }

    struct Session {
        client: tokio::io::DuplexStream,
        echo: Arc<Echo>,
        stop: watch::Sender<bool>,
        task: tokio::task::JoinHandle<io::Result<()>>,
    }

    /// For those that wait for the end of a client's patience.
    fn soon_idle(tcp_idle: u64) -> LimitsConfig {
        LimitsConfig { tcp_idle: Duration::from_millis(tcp_idle), ..limits() }
    }

    fn session() -> Session {
        session_with(limits())
    }

    fn session_with(limits: LimitsConfig) -> Session {
        let (client, server) = tokio::io::duplex(1 << 20);
        let echo = Arc::new(Echo::default());
        let (stop, stopped) = watch::channel(false);
        let answerer = echo.clone();
        let task = tokio::spawn(async move {
            let place = place(&limits);
            converse(server, "10.20.0.7:5353".parse().unwrap(), &limits, &*answerer, &place, stopped).await
        });
        Session { client, echo, stop, task }
    }

    async fn read_frame(client: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
        let length = timeout(Duration::from_secs(60), client.read_u16()).await.expect("an answer in time").unwrap();
        let mut message = vec![0; length.into()];
        client.read_exact(&mut message).await.unwrap();
        message
    }

    #[tokio::test]
    async fn answers_many_questions_of_one_write_and_questions_in_pieces() {
        let mut session = session();
        let mut octets = Vec::new();
        for index in 0..50 {
            octets.extend(question(index, 12 + usize::from(index)));
        }
        session.client.write_all(&octets).await.unwrap();
        for index in 0..50 {
            assert_eq!(read_frame(&mut session.client).await.len(), 12 + index);
        }
        for octet in question(7, 40) {
            session.client.write_all(&[octet]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(read_frame(&mut session.client).await.len(), 40);
        session.client.write_all(&question(9, MESSAGE)).await.unwrap();
        assert_eq!(read_frame(&mut session.client).await.len(), MESSAGE);
    }

    #[tokio::test]
    async fn a_question_that_waits_holds_back_no_other() {
        let mut session = session();
        session.client.write_all(&[question(b'L', 20), question(1, 13), question(b'N', 15), question(2, 14)].concat()).await.unwrap();
        assert_eq!(read_frame(&mut session.client).await.len(), 13);
        assert_eq!(read_frame(&mut session.client).await.len(), 14);
        let (message, later) = session.echo.later.lock().unwrap().pop().unwrap();
        later.answer(&message);
        assert_eq!(read_frame(&mut session.client).await.len(), 20);
    }

    #[tokio::test]
    async fn no_more_is_read_while_the_pipeline_is_full() {
        let mut session = session();
        let octets: Vec<u8> = (0..6).flat_map(|index| question(b'L', 20 + index)).collect();
        session.client.write_all(&octets).await.unwrap();
        for want in [4, 5, 6] {
            let deadline = Instant::now() + Duration::from_secs(60);
            while session.echo.later.lock().unwrap().len() < want && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            let (message, later) = {
                let waiting = session.echo.later.lock().unwrap();
                assert_eq!(waiting.len(), want, "four wait, the fifth is taken when one was answered");
                waiting[want - 4].clone()
            };
            later.answer(&message);
            read_frame(&mut session.client).await;
        }
    }

    /// The request that waits longest, as a handler has it.
    async fn request(session: &Session) -> Box<HandlerRequest> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while session.echo.later.lock().unwrap().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (message, later) = session.echo.later.lock().unwrap().remove(0);
        let client = "10.20.0.7:5353".parse().unwrap();
        HandlerRequest::new(
            MessageKind::Transfer,
            &message,
            client,
            ClientTransport::Tcp,
            Now(0),
            ReplyTo::Tcp(later),
            &PerListener::new(crate::counters::WorkerCounters::shared),
        )
    }

    #[tokio::test]
    async fn an_answer_of_many_messages_comes_whole_and_in_order_and_then_the_next_question_is_taken() {
        let mut session = session();
        let octets: Vec<u8> = (0..5).flat_map(|index| question(b'L', 20 + index)).collect();
        session.client.write_all(&octets).await.unwrap();
        session.client.shutdown().await.unwrap();
        for _ in 0..5 {
            let request = request(&session).await;
            let sending = tokio::spawn(async move {
                for part in 0..100u8 {
                    request.send(vec![part; 1000 + usize::from(part)]).await.unwrap();
                }
            });
            for part in 0..100u8 {
                assert_eq!(read_frame(&mut session.client).await, vec![part; 1000 + usize::from(part)]);
            }
            sending.await.unwrap();
        }
        assert_eq!(session.client.read(&mut [0; 1]).await.unwrap(), 0, "nothing waits any more");
        session.task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_holds_back_who_sends_and_is_given_up() {
        let (client, server) = tokio::io::duplex(1000);
        let echo = Arc::new(Echo::default());
        let (stop, stopped) = watch::channel(false);
        let answerer = echo.clone();
        let task = tokio::spawn(async move {
            let (limits, client) = (soon_idle(3000), "10.20.0.7:5353".parse().unwrap());
            converse(server, client, &limits, &*answerer, &place(&limits), stopped).await
        });
        let mut session = Session { client, echo, stop, task };
        session.client.write_all(&question(b'L', 20)).await.unwrap();
        let request = request(&session).await;
        let mut sent = 0;
        while request.send(vec![1; 60_000]).await.is_ok() {
            sent += 1;
        }
        assert!(sent <= 4, "one in the buffer, one on its way, two in the channel: {sent}");
        assert_eq!(session.task.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(session.stop);
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_lets_the_connection_go_on() {
        let mut session = session();
        let octets: Vec<u8> = (0..12).flat_map(|index| question(b'L', 20 + index)).collect();
        session.client.write_all(&octets).await.unwrap();
        for _ in 0..12 {
            drop(request(&session).await); // four may wait
        }
        session.client.write_all(&question(3, 33)).await.unwrap();
        assert_eq!(read_frame(&mut session.client).await.len(), 33);
    }

    #[tokio::test]
    async fn after_a_half_close_the_answers_still_come() {
        let mut session = session();
        session.client.write_all(&question(b'L', 20)).await.unwrap();
        session.client.shutdown().await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while session.echo.later.lock().unwrap().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (message, later) = session.echo.later.lock().unwrap().pop().unwrap();
        later.answer(&message);
        assert_eq!(read_frame(&mut session.client).await.len(), 20);
        assert_eq!(session.client.read(&mut [0; 1]).await.unwrap(), 0);
        session.task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn good_questions_before_nonsense_are_answered_and_then_the_connection_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (echo, (_stop, stopped)) = (Arc::new(Echo::default()), watch::channel(false));
        let answerer = echo.clone();
        let task = tokio::spawn(async move {
            let (server, peer) = listener.accept().await.unwrap();
            converse(server, peer, &limits(), &*answerer, &place(&limits()), stopped).await
        });
        let octets = [question(1, 20), question(b'L', 21), question(2, 22), question(3, 11), question(4, 23)].concat();
        client.write_all(&octets).await.unwrap();
        assert_eq!([read_frame(&mut client).await.len(), read_frame(&mut client).await.len()], [20, 22]);
        let (message, later) = echo.later.lock().unwrap().pop().unwrap();
        later.answer(&message);
        assert_eq!(read_frame(&mut client).await.len(), 21, "one that had to wait is answered too");
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "nothing behind it is");
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn silence_half_a_question_and_nonsense_end_a_connection() {
        for octets in [vec![], vec![0], question(1, 40)[..30].to_vec(), vec![0, 0, 1], question(1, 11)] {
            let mut session = session_with(soon_idle(300));
            session.client.write_all(&octets).await.unwrap();
            let end = timeout(Duration::from_secs(60), session.client.read(&mut [0; 8])).await.expect("closed in time");
            assert_eq!(end.unwrap_or(0), 0, "{octets:?}");
        }
    }

    #[tokio::test]
    async fn a_stop_lets_waiting_questions_be_answered() {
        let mut session = session();
        session.client.write_all(&question(b'L', 20)).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while session.echo.later.lock().unwrap().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        session.stop.send(true).unwrap();
        let (message, later) = session.echo.later.lock().unwrap().pop().unwrap();
        later.answer(&message);
        assert_eq!(read_frame(&mut session.client).await.len(), 20);
        assert_eq!(session.client.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
