# A DNAME substitution that is too long is YXDOMAIN (RFC 6672).
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
name = ".".join(["a" * 60, "b" * 60, "c" * 60, "d" * 30, "d.dup.test"])
response = query(p, name)
verdict(rcode(response) == "YXDOMAIN", brief(response), "YXDOMAIN AA with the DNAME (RFC 6672 section 3.2 step 3C; NSD, Knot, BIND, PowerDNS)")
