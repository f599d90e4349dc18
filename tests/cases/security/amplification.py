# DNS cookies are answered, or answers are limited.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments(("count", 5000))
p, case = args.port, Case(args.postern)
case.write("a.zone", "\n".join(f"many 60 IN A 10.1.0.{i}" for i in range(60)) + "\n")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "corp.test"
file = "a.zone"
on-missing = "nxdomain"
""", wait=p)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.connect(("127.0.0.1", p)); sock.settimeout(0.3)
wire, answers, octets = dns.message.make_query("many.corp.test", "A", use_edns=0, payload=4096).to_wire(), 0, 0
for i in range(0, args.count, 50):
    for _ in range(50): sock.send(wire)
    try:
        for _ in range(50): octets += len(sock.recv(4096)); answers += 1
    except TimeoutError: pass
message = dns.message.make_query("many.corp.test", "A", use_edns=0, options=[dns.edns.GenericOption(10, b"12345678")])
cookie = any(o.otype == 10 for o in dns.query.udp(message, "127.0.0.1", port=p, timeout=3).options)
verdict(cookie or answers < args.count, f"{answers} of {args.count} answered, {octets / (len(wire) * args.count):.1f} times the octets; cookie answered: {cookie}", "RRL with slip, or cookies (BIND, NSD, Knot, PowerDNS with dnsdist)")
