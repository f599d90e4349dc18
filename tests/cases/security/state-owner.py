# The state directory belongs to the user of the server.
# It needs root: it works in namespaces of its own.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
os.chmod(case.dir, 0o777)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
state = "state"
user = "nobody"
[api]
listen = "127.0.0.1:{p + 2}"
[[zone]]
name = "corp.test"
api = true
on-missing = "nxdomain"
""", wait=p)
got = rcode(query(p, "corp.test", "SOA"))
info = os.stat(case.path("state"))
log = [l[28:] for l in case.log().splitlines() if "Permission denied" in l]
verdict(got == "NOERROR", f"{got}; state directory: owner {info.st_uid}, mode {info.st_mode & 0o777:o}; log {log[:1]}", "NOERROR: the directory belongs to the user")
