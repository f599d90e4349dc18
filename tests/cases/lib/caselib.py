# Helpers for the cases: start Postern in a temporary directory, run a scripted upstream, send queries.
# Needs Python 3.10 or later and dnspython from PyPI.
import argparse, atexit, http.client, json, os, shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time
import dns.edns, dns.exception, dns.flags, dns.message, dns.name, dns.query, dns.rcode, dns.rdatatype, dns.rrset

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))


def arguments(*extra):
    """Parses `CASE.py POSTERN [PORT] [EXTRA…]`. A case uses PORT and the 19 ports above it."""
    parser = argparse.ArgumentParser(description="Exit status 1: the fault shows. Exit status 0: the answer is right.")
    parser.add_argument("postern", help="path of the postern binary")
    parser.add_argument("port", nargs="?", type=int, default=32000, help="first port on 127.0.0.1 (default 32000)")
    for name, default in extra:
        parser.add_argument(name, nargs="?", type=type(default), default=default, help=f"default {default}")
    given = parser.parse_args()
    given.postern = os.path.abspath(given.postern)
    return given


class Case:
    """A temporary directory and the processes of one case. All of them end with the script."""

    def __init__(self, postern):
        self.postern, self.dir, self.children = postern, tempfile.mkdtemp(prefix="postern-case-"), []
        atexit.register(self.close)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def copy(self, name, to=None):
        """Copies a file that lies beside the case into the temporary directory, by default under the same name."""
        return shutil.copy(os.path.join(HERE, name), self.path(to or os.path.basename(name)))

    def serve(self, config, name="postern", prefix=(), env=None, wait=None, stderr=None):
        """Writes NAME.toml, starts `postern serve` and waits until it answers on port WAIT."""
        self.write(name + ".toml", config)
        out = stderr if stderr is not None else open(self.path(name + ".log"), "ab")
        child = subprocess.Popen([*prefix, self.postern, "serve", "-c", self.path(name + ".toml")], cwd=self.dir,
                                 stdout=out, stderr=out, env={**os.environ, **(env or {})})
        self.children.append(child)
        until = time.time() + 60
        while wait and time.time() < until and child.poll() is None:
            if query(wait, "version.bind", "TXT", rdclass="CH", timeout=0.2) is not None:
                break
            time.sleep(0.05)
        return child

    def run(self, *command, stdin=None):
        """Runs `postern COMMAND` in the temporary directory. Returns the exit status and the output."""
        done = subprocess.run([self.postern, *command], cwd=self.dir, input=stdin, capture_output=True, text=True, timeout=60)
        return done.returncode, (done.stdout + done.stderr).strip()

    def log(self, name="postern"):
        with open(self.path(name + ".log"), errors="replace") as file:
            return file.read()

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def query(port, name, rdtype="A", rdclass="IN", at="127.0.0.1", source=None, do=False, edns=True, rd=True, ad=False, tcp=False, timeout=6, size=1232):
    """Sends one query. Returns the response, or None if none came."""
    message = dns.message.make_query(name, rdtype, rdclass, use_edns=0 if edns else None, want_dnssec=do, payload=size if edns else None)
    message.flags = (message.flags | (dns.flags.AD if ad else 0)) if rd else message.flags & ~dns.flags.RD
    try:
        ask = dns.query.tcp if tcp else dns.query.udp
        more = {} if tcp else {"ignore_unexpected": True}
        return ask(message, at, port=port, timeout=timeout, source=source, **more)
    except (dns.exception.DNSException, OSError, EOFError):
        return None


def brief(response):
    """One line: RCODE, flags, the records of ANSWER, and EDE codes."""
    if response is None:
        return "no response"
    records = [f"{r.name} {dns.rdatatype.to_text(r.rdtype)}" + (f" x{len(r)}" if len(r) > 3 else " " + " ".join(str(x)[:60] for x in r)) for r in response.answer]
    errors = [f"EDE {int(o.code)}" + (f" {o.text!r}" if o.text else "") for o in response.options if o.otype == dns.edns.OptionType.EDE]
    flags = [f for f in ("AA", "TC", "AD") if response.flags & getattr(dns.flags, f)]
    return " ".join([dns.rcode.to_text(response.rcode()), *flags, *errors, "; ".join(records)])


def rcode(response):
    return "none" if response is None else dns.rcode.to_text(response.rcode())


def addresses(response):
    return [] if response is None else [x.address for r in response.answer if r.rdtype in (1, 28) for x in r]


def http_request(port, method, path, body=None, headers=None, timeout=10):
    if isinstance(body, (dict, list)):
        body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
    until = time.time() + 60
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            break
        except ConnectionRefusedError:  # the API and the metrics listen a moment after DNS
            if time.time() > until:
                raise
            time.sleep(0.1)
    response = connection.getresponse()
    data = response.read().decode(errors="replace")
    connection.close()
    return response.status, data


def rr(text):
    """`owner TTL TYPE rdata` as an RRset."""
    owner, ttl, rdtype, rdata = text.split(None, 3)
    return dns.rrset.from_text(owner, int(ttl), "IN", rdtype, rdata)


def reply(question, answer=(), authority=(), rcode=0, flags="", edns=True, options=()):
    """A response with RA. Records are given as text; records of one RRset are joined."""
    message = dns.message.make_response(question, recursion_available=True)
    for flag in flags.split():
        message.flags |= getattr(dns.flags, flag)
    for section, records in ((message.answer, answer), (message.authority, authority)):
        for one in map(rr, records):
            same = next((s for s in section if s.match(one.name, one.rdclass, one.rdtype, one.covers)), None)
            section.append(one) if same is None else same.update(one)
    message.set_rcode(rcode)
    if edns and question.edns >= 0:
        message.use_edns(0, question.ednsflags & 0x8000, 1232, options=list(options))
    elif not edns:
        message.use_edns(False)
    return message


def soa(zone, ttl=300, minimum=60):
    below = "." + zone.lstrip(".")
    return f"{zone} {ttl} SOA ns{below} host{below} 1 3600 600 86400 {minimum}"


def asked(question):
    """The name (lower case) and the type of a query, as text."""
    return question.question[0].name.to_text().lower(), dns.rdatatype.to_text(question.question[0].rdtype)


class Upstream:
    """A scripted upstream on UDP and TCP. BEHAVIOR(query, transport) returns what to do: a message or octets are sent,
    a number is a pause in seconds, "close" closes the TCP connection. `seen` lists (name, type, transport, EDNS, DO)."""

    def __init__(self, port, behavior, address="127.0.0.1", tcp=True):
        self.behavior, self.seen = behavior, []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.udp.bind((address, port))
        threading.Thread(target=self.serve_udp, daemon=True).start()
        if tcp:
            self.tcp = socket.socket(family)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.tcp.bind((address, port))
            self.tcp.listen(100)
            threading.Thread(target=self.serve_tcp, daemon=True).start()

    def do(self, wire, transport, send):
        question = dns.message.from_wire(wire)
        self.seen.append((*asked(question), transport, question.edns >= 0, bool(question.ednsflags & 0x8000)))
        steps = self.behavior(question, transport)
        if any(isinstance(step, float) for step in steps) and transport == "udp":
            threading.Thread(target=self.play, args=(steps, send), daemon=True).start()
            return True
        return self.play(steps, send)

    def play(self, steps, send):
        for step in steps:
            if isinstance(step, float):
                time.sleep(step)
            elif step == "close":
                return False
            else:
                send(step if isinstance(step, bytes) else step.to_wire(max_size=65535))
        return True

    def serve_udp(self):
        while True:
            wire, peer = self.udp.recvfrom(4096)
            try:
                self.do(wire, "udp", lambda octets, peer=peer: self.udp.sendto(octets, peer))
            except Exception as error:
                print("upstream:", repr(error), file=sys.stderr)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            threading.Thread(target=self.serve_connection, args=(connection,), daemon=True).start()

    def serve_connection(self, connection):
        def send(octets):
            connection.sendall(struct.pack("!H", len(octets)) + octets)

        with connection:
            try:
                data = b""
                while True:
                    while len(data) >= 2 and len(data) >= 2 + struct.unpack("!H", data[:2])[0]:
                        length = struct.unpack("!H", data[:2])[0]
                        wire, data = data[2:2 + length], data[2 + length:]
                        if not self.do(wire, "tcp", send):
                            return
                    more = connection.recv(65535)
                    if not more:
                        return
                    data += more
            except OSError:
                pass


def verdict(right, got, expected):
    """Prints the result and ends the script: 0 if right, 1 if the fault shows."""
    print("got:     ", got)
    print("expected:", expected)
    print("RIGHT" if right else "FAULT")
    sys.stdout.flush()
    sys.exit(0 if right else 1)
