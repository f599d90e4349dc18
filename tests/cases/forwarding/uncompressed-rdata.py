# Names in RDATA are compressed.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.many_names)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
got, right = {}, True
for rdtype in ("MX", "NS"):
    wire = dns.message.make_query("mx.contoso.example", rdtype, use_edns=None).to_wire()
    sizes = []
    for port in (p + 1, p):
        sock = socket.create_connection(("127.0.0.1", port)); sock.sendall(struct.pack("!H", len(wire)) + wire); sizes.append(struct.unpack("!H", sock.recv(2))[0]); sock.close()
    udp = query(p, "mx.contoso.example", rdtype, edns=False)
    right &= not udp.flags & dns.flags.TC
    got[rdtype] = f"upstream {sizes[0]} octets, Postern {sizes[1]} octets, over UDP {brief(udp)}"
verdict(right, got, "at most 512 octets and whole over UDP (Unbound 323, BIND 338; RFC 1035 section 4.1.4)")
