# Signatures come with their RRset.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.full_authority)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
response = query(p, "a.signed.test", do=True)
authority = [f"{r.name} {dns.rdatatype.to_text(r.rdtype)} {dns.rdatatype.to_text(r.covers) if r.covers else ''}".strip() for r in response.authority]
verdict(len(authority) != 1, f"AUTHORITY {authority}", "both the NS RRset and its RRSIG, or neither (RFC 4035 sections 3.2.1 and 4)")
