"""An upstream on loopback that loses, delays, truncates and closes, and notes the source port of each question.

It runs in a process of its own. Names below `dead.` are never answered; all others have the address `ADDRESS`. What is asked until a forwarder is
ready, below `ready.`, is answered without faults.
"""
import array, dataclasses, heapq, multiprocessing, random, selectors, socket, struct, time

import asking

ADDRESS = bytes([192, 0, 2, 53])
FORGED = bytes([203, 0, 113, 66])


@dataclasses.dataclass
class Faults:
    """What is wrong with an upstream."""

    loss: float = 0                  # probability that a datagram is lost, each way
    delay: float = 0                 # seconds until the answer
    truncates: bool = False          # over UDP; over TCP one answer a connection
    forgeries: int = 0               # answers with a random ID before each right one, from the right address to the right port
    at_random_ports: bool = False    # to random ports instead


@dataclasses.dataclass
class Seen:
    """What an upstream has seen."""

    questions: int = 0
    forged: int = 0
    ports: array.array = dataclasses.field(default_factory=lambda: array.array("H"))


def answer_to(question, address=ADDRESS, truncated=False):
    """The answer to a question, without EDNS, or None for what is none."""
    try:
        end = asking.skip_name(question, 12) + 4
    except IndexError:
        return None
    has_data = question[end - 4 : end] == b"\0\1\0\1" and end > 17 and not truncated
    record = b"\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4" + address if has_data else b""
    flags = b"\x83\x80" if truncated else b"\x81\x80"
    return question[:2] + flags + struct.pack(">HHHH", 1, int(has_data), 0, 0) + question[12:end] + record


class FaultyUpstream:
    """The process. Use it as a context; `seen` is there after it has ended."""

    def __init__(self, faults):
        self.udp, self.tcp = on_one_port()
        self.port = self.udp.getsockname()[1]
        self.ours, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=serve, args=(self.udp, self.tcp, theirs, faults), daemon=True)
        self.seen = Seen()

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.ours.send("end")
        if self.ours.poll(10):
            self.seen = self.ours.recv()
        self.process.join(5)
        self.process.kill()
        self.udp.close()
        self.tcp.close()


def on_one_port():
    """Sockets for UDP and TCP with the same port."""
    while True:
        udp, tcp = (socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        udp.bind(("127.0.0.1", 0))
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind(udp.getsockname())
            tcp.listen(512)
            return udp, tcp
        except OSError:
            udp.close()
            tcp.close()


def serve(udp, tcp, pipe, faults):
    seen, later, number = Seen(), [], 0
    udp.setblocking(False)
    tcp.setblocking(False)
    selector = selectors.DefaultSelector()
    for source in (udp, tcp, pipe):
        selector.register(source, selectors.EVENT_READ)
    while True:
        wait = max(0, later[0][0] - time.monotonic()) if later else None
        for key, _ in selector.select(wait):
            if key.fileobj is pipe:
                pipe.recv()
                pipe.send(seen)
                return
            if key.fileobj is udp:
                for question, peer in received(udp):
                    is_ready = b"\5ready" in question.lower()
                    faults_now = Faults() if is_ready else faults
                    if not is_ready:
                        seen.questions += 1
                        seen.ports.append(peer[1])
                    if b"\4dead" in question.lower() or random.random() < faults_now.loss or random.random() < faults_now.loss:
                        continue
                    answer = answer_to(question, truncated=faults_now.truncates)
                    if answer:
                        seen.forged += forge(udp, question, peer, faults_now)
                        number += 1
                        heapq.heappush(later, (time.monotonic() + faults_now.delay, number, answer, peer))
            elif key.fileobj is tcp:
                answer_over_tcp(tcp)
        while later and later[0][0] <= time.monotonic():
            _, _, answer, peer = heapq.heappop(later)
            try:
                udp.sendto(answer, peer)
            except OSError:
                pass  # the socket there is closed by now


def received(udp, most=256):
    """The datagrams that are there."""
    for _ in range(most):
        try:
            yield udp.recvfrom(4096)
        except BlockingIOError:
            return
        except OSError:
            continue  # the system reports that an earlier answer met a closed port


def forge(udp, question, peer, faults):
    """Sends forged answers as a stranger would who sees nothing but, perhaps, the port. The name is written as clients write it."""
    forged = answer_to(question[:12] + question[12:].lower(), FORGED)
    for _ in range(faults.forgeries):
        to = (peer[0], random.randrange(1024, 65536)) if faults.at_random_ports else peer
        try:
            udp.sendto(random.randbytes(2) + forged[2:], to)
        except OSError:
            pass
    return faults.forgeries


def answer_over_tcp(tcp):
    """Answers one question and closes the connection."""
    try:
        connection, _ = tcp.accept()
    except OSError:
        return
    with connection:
        connection.settimeout(1)
        try:
            octets = b""
            while len(octets) < 2 or len(octets) < 2 + struct.unpack(">H", octets[:2])[0]:
                more = connection.recv(4096)
                if not more:
                    return
                octets += more
            length = struct.unpack(">H", octets[:2])[0]
            answer = answer_to(octets[2 : 2 + length])
            connection.sendall(struct.pack(">H", len(answer)) + answer)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            return
