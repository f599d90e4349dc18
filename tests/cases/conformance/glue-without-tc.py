# In-domain glue is whole, or TC is set (RFC 9471).
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
case.copy("glue.zone")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "glue.test"
file = "glue.zone"
on-missing = "nxdomain"
""", wait=p)
got, right = [], True
for size in (1232, 512):
    message = dns.message.make_query("x.sub.glue.test", "A", use_edns=0 if size > 512 else None, payload=size); message.flags &= ~dns.flags.RD
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.settimeout(3); sock.sendto(message.to_wire(), ("127.0.0.1", p))
    wire = sock.recv(65535); response = dns.message.from_wire(wire)
    glue, tc = sum(len(r) for r in response.additional), bool(response.flags & dns.flags.TC)
    right &= glue == 26 or tc
    got.append(f"{size}: {len(wire)} octets, {glue} of 26 addresses, TC {tc}")
verdict(right, got, "1232: all 26 addresses (NSD, Knot, PowerDNS 853 octets, BIND 881); otherwise TC (RFC 9471 section 3.1)")
