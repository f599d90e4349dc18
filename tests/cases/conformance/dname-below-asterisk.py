# A DNAME at a literal name below an asterisk redirects.
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
response = query(p, "x.*.w.dup.test")
verdict(rcode(response) == "NOERROR" and "192.0.2.7" in addresses(response), brief(response), "DNAME, CNAME and 192.0.2.7 (NSD, BIND, PowerDNS, Knot; RFC 6672 section 3.3 discourages such records)")
