# One FORMERR does not end EDNS for every name.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
upstream = Upstream(p + 1, behaviors.formerr)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
print("before:", brief(query(p, "a.signed.test", do=True)))
query(p, "bad.unsigned.test", do=True)
response = query(p, "al.signed.test", do=True)
name, rdtype, transport, edns, do = next(s for s in upstream.seen if s[0] == "al.signed.test.")
verdict(edns and do, f"query to the upstream: EDNS {edns}, DO {do}; answer {brief(response)}", "EDNS and DO; A and RRSIG (with BIND or Unbound in place of Postern: so)")
