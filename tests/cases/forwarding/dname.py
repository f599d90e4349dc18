# A forwarded DNAME keeps its signatures.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.dname)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
response = query(p, "h.dn.signed.test", do=True)
types = [dns.rdatatype.to_text(r.rdtype) for r in response.answer]
verdict("DNAME" in types, f"ANSWER {types}", "DNAME, RRSIG, CNAME, A, RRSIG (RFC 6672 section 5.3.1)")
