# No record stands twice in ANSWER (RFC 2181).
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.nxdomain)
case.copy("dup.zone")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "dup.test"
file = "dup.zone"
on-missing = "nxdomain"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
def records(name):
    message = dns.message.make_query(name, "A", use_edns=0, payload=4096)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.settimeout(3); sock.sendto(message.to_wire(), ("127.0.0.1", p))
    wire = sock.recv(65535); response = dns.message.from_wire(wire)  # dnspython joins repeated records: compare with ANCOUNT
    return struct.unpack("!H", wire[6:8])[0], sum(len(r) for r in response.answer), rcode(response), len(wire)
got = {n: "%d records, %d distinct, %s, %d octets" % records(n) for n in ("x.a.a.a.b.dup.test", "l1.dup.test")}
verdict(all(records(n)[0] == records(n)[1] for n in got), got, "each record once (RFC 2181 section 5; NSD, Knot)")
