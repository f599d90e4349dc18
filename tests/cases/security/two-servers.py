# A second server on one state directory refuses to start.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
config = lambda dns, api: f"""[server]
listen = ["127.0.0.1:{dns}"]
state = "state"
[api]
socket = false
listen = "127.0.0.1:{api}"
[[zone]]
name = "corp.test"
api = true
on-missing = "nxdomain"
"""
put = lambda api, n: http_request(api, "PUT", f"/v1/zones/corp.test/rrsets/{n}/A", {"ttl": 10, "records": ["10.1.2.3"]})[0]
one = case.serve(config(p, p + 2), name="one", wait=p); acknowledged = [(f"a{i}", put(p + 2, f"a{i}")) for i in range(5)]
two = case.serve(config(p + 1, p + 3), name="two", wait=p + 1)
started = two.poll() is None
if started:
    for prefix, api in (("b", p + 2), ("c", p + 3), ("d", p + 2)):
        acknowledged += [(f"{prefix}{i}", put(api, f"{prefix}{i}")) for i in range(5)]
one.kill(); two.kill(); one.wait(); two.wait()
case.serve(config(p, p + 2), name="after", wait=p)
lost = [n for n, s in acknowledged if s == 200 and rcode(query(p, n + ".corp.test")) != "NOERROR"]
verdict(not lost, f"second server started: {started}; acknowledged and lost: {lost}", "the second server refuses to start: the state directory is in use")
