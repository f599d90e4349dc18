# A datagram that is no response does not end an attempt.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.not_a_response)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
response = query(p, "qr0.example")
verdict(rcode(response) == "NOERROR", brief(response), "192.0.2.1 (BIND and dnsmasq; Unbound, PowerDNS Recursor and Knot Resolver fail as Postern does)")
