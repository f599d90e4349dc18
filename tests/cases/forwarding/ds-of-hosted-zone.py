# DS of a hosted zone is asked at the parent.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.parent)
case.write("corp.zone", "$TTL 30\n@ A 10.20.5.1\nwww A 10.20.5.2\n")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "corp.signed.test"
file = "corp.zone"
on-missing = "nxdomain"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
response = query(p, "corp.signed.test", "DS", do=True)
owners = [f"{r.name} {dns.rdatatype.to_text(r.rdtype)}" for r in response.authority]
verdict(any("NSEC" in o for o in owners), f"{brief(response)}, AUTHORITY {owners}", "AUTHORITY: SOA of signed.test., NSEC and their RRSIGs, from the route (RFC 4035 section 3.1.4.1)")
