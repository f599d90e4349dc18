# Names of a search list are no fallbacks.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.nxdomain)
case.write("corp.zone", "here 10 IN A 10.20.9.1\n")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[metrics]
listen = "127.0.0.1:{p + 2}"
[[zone]]
name = "corp.contoso.test"
file = "corp.zone"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
response = query(p, "www.google.com.corp.contoso.test"); time.sleep(0.5)
metrics = [l for l in http_request(p + 2, "GET", "/metrics")[1].splitlines() if l.startswith("postern_fallback_total") and 'action="public"' in l and not l.endswith(" 0")]
line = next((l[28:] for l in case.log().splitlines() if "www.google.com" in l and "fallback" in l.lower()), None)
verdict(not line and not metrics, f"{brief(response)}\n           log: {line}\n           metrics: {metrics}", "NXDOMAIN, no EDE about a public answer, no fallback record or one of its own kind")
