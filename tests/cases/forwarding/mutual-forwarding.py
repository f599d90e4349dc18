# Two servers can forward to each other.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 2, behaviors.nxdomain)
case.write("priv.test.zone", "x 10 IN A 10.20.1.5\n")
case.serve(f"""[server]
listen = ["127.0.0.1:{p + 1}"]
state = "hub-state"
[api]
socket = false
[[zone]]
name = "priv.test"
file = "priv.test.zone"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p}"]
""", name="hub", wait=p + 1)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
state = "site-state"
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 2}"]
[[forward]]
zone = "priv.test"
upstreams = ["127.0.0.1:{p + 1}"]
""", name="site", wait=p)
time.sleep(1)
response = query(p, "x.priv.test")
verdict(addresses(response) == ["10.20.1.5"], brief(response), "NOERROR 10.20.1.5 (BIND and Unbound as the site server: answered)")
