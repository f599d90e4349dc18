# A removed journal is noticed before a change is acknowledged.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
config = f"""[server]
listen = ["127.0.0.1:{p}"]
state = "state"
[api]
socket = false
listen = "127.0.0.1:{p + 2}"
[metrics]
listen = "127.0.0.1:{p + 3}"
[[zone]]
name = "corp.test"
api = true
on-missing = "nxdomain"
"""
put = lambda n: http_request(p + 2, "PUT", f"/v1/zones/corp.test/rrsets/{n}/A", {"ttl": 10, "records": ["10.1.2.3"]})[0]
server = case.serve(config, wait=p); first = put("x1"); shutil.rmtree(case.path("state"))
second, ready = put("x2"), http_request(p + 3, "GET", "/ready?strict")[0]
server.kill(); server.wait(); case.serve(config, wait=p)
have = [rcode(query(p, n + ".corp.test")) for n in ("x1", "x2")]
verdict(second >= 500 or have[1] == "NOERROR", f"PUT after the removal: {second}, /ready?strict {ready}, after a restart x1, x2: {have}", "an error for the change, or the journal written anew; not ready")
