# The order of questions does not change answers.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.broken_tail)
outage = {"on": False}
Upstream(p + 2, lambda q, t: [] if outage["on"] else behaviors.ttl_zero_alias(q, t))
case.write("priv.test.zone", "x 10 IN A 10.20.1.5\n")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "priv.test"
file = "priv.test.zone"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
[[forward]]
zone = "ttl0.test"
upstreams = ["127.0.0.1:{p + 2}"]
""", wait=p)
first = brief(query(p, "app.pubalias")); time.sleep(6)
query(p, "app.pubalias", "CNAME"); second = brief(query(p, "app.pubalias"))
zero = brief(query(p, "x.ttl0.test")); outage["on"] = True
during = brief(query(p, "x.ttl0.test", timeout=12))
verdict("10.20.1.5" in first and "10.20.1.5" in during, f"A: {first}; A after CNAME: {second}\n           TTL 0: {zero}; in the outage: {during}", "10.20.1.5 each time")
