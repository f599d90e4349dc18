# Special names are answered here.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
upstream = Upstream(p + 1, behaviors.address)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
names = ["_dns.resolver.arpa/SVCB", "localhost/A", "a.invalid/A", "a.onion/A", "1.0.168.192.in-addr.arpa/PTR", "home.arpa/A"]
for name in names:
    query(p, *name.split("/"))
sent = [n for n in names if any(f"{s[0][:-1]}/{s[1]}" == n for s in upstream.seen)]
# The upstream has a private address, so it may know the reverse names and home.arpa of this site.
verdict(sent == names[4:], f"forwarded: {sent}", f"forwarded: {names[4:]} (RFC 6303, RFC 8375), none of the others (RFC 9462, 6761, 7686)")
