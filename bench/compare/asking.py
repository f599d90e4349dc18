"""Questions to a server, one at a time, and RFC 2136 changes."""
import collections, random, socket, struct, time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28}


def wire_name(name):
    labels = [label for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def skip_name(data, at):
    while data[at]:
        if data[at] >= 0xC0:
            return at + 2
        at += 1 + data[at]
    return at + 1


class Asker:
    """A connected socket that asks one question after another, from an address of this machine."""

    def __init__(self, port, source="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, name, rtype="A", timeout=0.5):
        """(rcode, [RDATA of that type in the answer section]) or None where nothing came in time."""
        ident = random.randrange(65536)
        query = struct.pack(">HHHHHH", ident, 0x0100, 1, 0, 0, 0) + wire_name(name) + struct.pack(">HH", TYPES[rtype], 1)
        until = time.monotonic() + timeout
        try:
            self.socket.send(query)
            while (left := until - time.monotonic()) > 0:
                self.socket.settimeout(left)
                data = self.socket.recv(4096)
                if data[:2] == query[:2]:
                    return self.read(data, TYPES[rtype])
        except OSError:
            # Nobody listens yet, or nothing came.
            time.sleep(0.001)
        return None

    @staticmethod
    def read(data, wanted):
        at = skip_name(data, 12) + 4
        found = []
        for _ in range(struct.unpack(">H", data[6:8])[0]):
            at = skip_name(data, at)
            kind, _, _, length = struct.unpack(">HHIH", data[at : at + 10])
            if kind == wanted:
                found.append(data[at + 10 : at + 10 + length])
            at += 10 + length
        return data[3] & 15, found

    def addresses(self, name, timeout=0.5):
        """The addresses that an A question finds, as text."""
        answer = self.ask(name, "A", timeout)
        return None if answer is None else {socket.inet_ntoa(octets) for octets in answer[1]}


def wait_for(port, name, address, seconds, alive=lambda: True, pause=0.0005, source="127.0.0.1"):
    """Asks until the answer is this address; the seconds that took, or None."""
    start = time.monotonic()
    with Asker(port, source) as asker:
        while time.monotonic() - start < seconds and alive():
            if asker.addresses(name) == {address}:
                return time.monotonic() - start
            time.sleep(pause)
    return None


def wait_for_all(port, wanted, seconds, alive=lambda: True):
    """Asks for every name until each has its address; the seconds to the first right answer and to the last, or None. `wanted`: address by name.

    Many questions are under way at once, so that a thousand names cost milliseconds; what came to nothing is asked again.
    """
    wanted = list(wanted.items())
    queue, asked, first, left = collections.deque(range(len(wanted))), {}, None, len(wanted)
    start = time.monotonic()
    with Asker(port) as asker:
        while (now := time.monotonic()) - start < seconds and alive():
            for ident in [ident for ident, moment in asked.items() if now - moment > 0.05]:
                del asked[ident]
                queue.append(ident)
            try:
                while queue and len(asked) < 128:
                    query = struct.pack(">HHHHHH", queue[0], 0x0100, 1, 0, 0, 0) + wire_name(wanted[queue[0]][0]) + struct.pack(">HH", TYPES["A"], 1)
                    asker.socket.send(query)
                    asked[queue.popleft()] = now
                asker.socket.settimeout(0.005)
                data = asker.socket.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                time.sleep(0.001)  # nobody listens yet
                continue
            ident = data[0] << 8 | data[1]
            if asked.pop(ident, None) is None:
                continue
            if asker.read(data, TYPES["A"])[1] != [socket.inet_aton(wanted[ident][1])]:
                queue.append(ident)
                continue
            first = first or time.monotonic() - start
            left -= 1
            if not left:
                return first, time.monotonic() - start
    return None


def update(port, zone, name, address):
    """Replaces the A records of a name (RFC 2136 sections 2.5.2 and 2.5.1), over UDP; returns the RCODE."""
    ident = random.randrange(65536)
    message = struct.pack(">HHHHHH", ident, 5 << 11, 1, 0, 2, 0) + wire_name(zone) + struct.pack(">HH", TYPES["SOA"], 1)
    message += wire_name(name) + struct.pack(">HHIH", TYPES["A"], 255, 0, 0)
    message += wire_name(name) + struct.pack(">HHIH", TYPES["A"], 1, 60, 4) + socket.inet_aton(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect(("127.0.0.1", port))
        sock.send(message)
        return sock.recv(4096)[3] & 15
