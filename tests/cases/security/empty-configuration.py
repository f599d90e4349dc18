# An emptied configuration is refused and the running one stays.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.address)
case.write("a.zone", "www 10 IN A 10.0.0.1\n")
config = f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[metrics]
listen = "127.0.0.1:{p + 3}"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
[[zone]]
name = "a.test"
file = "a.zone"
"""
case.serve(config, wait=p)
before, got = addresses(query(p, "www.a.test")), {}
for label, text in (("cut before [[zone]]", config.split("[[zone]]")[0]), ("empty", "")):
    case.write("postern.toml", text); time.sleep(1.5)
    # Without recursion for the empty file: a server without routes would ask the resolvers of the system.
    got[label] = brief(query(p, "www.a.test", rd=label != "empty")), http_request(p + 3, "GET", "/ready?strict")[0]
    case.write("postern.toml", config); time.sleep(1.5)
log = [l[28:150] for l in case.log().splitlines() if " WARN" in l and "fallback" not in l]
verdict(all("10.0.0.1" in g[0] for g in got.values()), f"before {before}; {got}; log {log}", "10.0.0.1: a configuration that loses every zone is rejected, and the last good one is kept")
