# TXT text is one string, relative targets are completed or refused.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = "a.sock"
listen = "127.0.0.1:{p + 2}"
[[zone]]
name = "corp.test"
api = true
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
put = lambda n, t, r: http_request(p + 2, "PUT", f"/v1/zones/corp.test/rrsets/{n}/{t}", {"ttl": 60, "records": [r]})[0]
statuses = [put("_dmarc", "TXT", "v=DMARC1; p=none"), put("@", "TXT", "v=spf1 include:spf.contoso.com -all"), case.run("records", "set", "--socket", "a.sock", "corp.test", "www", "CNAME", "app")[0]]
got = [brief(query(p, n, t)) for n, t in (("_dmarc.corp.test", "TXT"), ("corp.test", "TXT"), ("www.corp.test", "CNAME"))]
right = (statuses[0] >= 400 or "p=none" in got[0]) and (statuses[1] >= 400 or '"v=spf1 include:spf.contoso.com -all"' in got[1]) and (statuses[2] != 0 or "app.corp.test." in got[2])
verdict(right, f"statuses {statuses}; {got}", "one string each and app.corp.test., or an error (PowerDNS: 422)")
