# Probes of another Postern are no fallbacks.
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
upstreams = ["127.0.0.1:{p + 2}"]
""", name="hub", wait=p + 1)
site = case.serve(f"""[server]
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
lines = [l[28:] for l in case.log("hub").splitlines() if "postern-loop-probe" in l]
verdict(not lines, f"{len(lines)} fallback line(s) in the log of the hub: {lines[:1]}", "none: the probe is the product's own traffic")
