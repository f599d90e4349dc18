# The SOA of an API zone names this server as its primary.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
listen = "127.0.0.1:{p + 2}"
[[key]]
name = "u"
unsigned = true
clients = ["127.0.0.0/8"]
allow = ["update"]
[[zone]]
name = "win.test"
api = true
on-missing = "nxdomain"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
mname = query(p, "win.test", "SOA").answer[0][0].mname.to_text()
verdict("azureprivatedns" not in mname, f"MNAME {mname}", "a name of this server (RFC 2136 section 4.3; RFC 1035 section 3.3.13)")
