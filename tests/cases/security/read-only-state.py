# A read-only state directory serves its zones.
# It needs root: it works in namespaces of its own.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
if os.environ.get("IN_NAMESPACE") is None:
    os.environ["IN_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "-m", sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
p, case = args.port, Case(args.postern)
config = f"""[server]
listen = ["127.0.0.1:{p}"]
state = "state"
[api]
socket = false
listen = "127.0.0.1:{p + 2}"
[[zone]]
name = "corp.test"
api = true
on-missing = "nxdomain"
"""
os.mkdir(case.path("state")); subprocess.run(["mount", "-t", "tmpfs", "tmpfs", case.path("state")], check=True)
atexit.register(subprocess.run, ["umount", "-l", case.path("state")])
server = case.serve(config, wait=p)
http_request(p + 2, "PUT", "/v1/zones/corp.test/rrsets/x1/A", {"ttl": 10, "records": ["10.1.2.3"]})
server.kill(); server.wait(); subprocess.run(["mount", "-o", "remount,ro", case.path("state")], check=True)
case.serve(config, name="again", wait=p); got = rcode(query(p, "x1.corp.test"))
log = [l[28:] for l in case.log("again").splitlines() if "ERROR" in l or "WARN" in l]
verdict(got == "NOERROR", f"{got}, log {log[:1]}", "NOERROR: names are served, changes are rejected with 507")
