# The PowerDNS API accepts every soa_edit_api, and lists keys.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
state = "state"
[api]
socket = false
listen = "127.0.0.1:{p + 2}"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
base, got = "/api/v1/servers/localhost", {}
for i, value in enumerate(("DEFAULT", "INCEPTION-INCREMENT", "SOA-EDIT-INCREASE")):
    got[value] = http_request(p + 2, "POST", base + "/zones", {"name": f"z{i}.test.", "kind": "Native", "nameservers": [], "soa_edit_api": value}, {"X-API-Key": "x"})[0]
for path in ("/tsigkeys", "/autoprimaries"):
    got[path] = http_request(p + 2, "GET", base + path, None, {"X-API-Key": "x"})[0]
verdict(all(s < 400 for s in got.values()), got, "201 for each zone and 200 for each list (PowerDNS 4.7.3)")
