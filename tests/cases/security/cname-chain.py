# An endless chain of aliases costs the upstream few questions.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
def chain(question, transport):
    name, rdtype = asked(question); number = int(name.split(".")[0][1:]) if name.endswith(".chain.test.") else 0
    return [reply(question, [f"{name} 60 CNAME c{number + 1}.chain.test."])]
upstream = Upstream(p + 1, chain)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
response = query(p, "c0.chain.test", timeout=20); count = sum(n[0].endswith(".chain.test.") for n in upstream.seen)
verdict(count <= 12, f"{rcode(response)}, {count} queries to the upstream", "at most about 11 (BIND and Unbound)")
