# QTYPE=CNAME below a DNAME ends at the synthesized CNAME.
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
response, any_ = query(p, "x.a.b.dup.test", "CNAME", rd=False), query(p, "x.out.dup.test", "ANY", rd=False)
right = rcode(response) == "NOERROR" and len(any_.answer) == 2 and bool(any_.flags & dns.flags.AA)
verdict(right, f"CNAME: {brief(response)}\n           ANY: {brief(any_)}", "NOERROR AA with the DNAME and the CNAME alone (RFC 1034 section 4.3.2 step 3a; NSD, Knot, BIND, PowerDNS)")
