# A late answer is still used.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.slow)
Upstream(p + 2, behaviors.nxdomain)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}", "127.0.0.1:{p + 2}"]
""", wait=p)
got = []
for _ in range(2):
    began = time.time(); got.append(f"{rcode(query(p, 'app.corp'))} after {time.time() - began:.1f} s"); time.sleep(1)
verdict(got[1].startswith("NOERROR"), got, "10.77.0.1, at the latest for the second query (Microsoft asks for a timeout above 4 s)")
