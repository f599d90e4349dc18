# Half a line is never served.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
case.write("a.zone", "app 10 IN A 10.0.0.15\n")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "a.test"
file = "a.zone"
on-missing = "nxdomain"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
with open(case.path("a.zone"), "w") as file:  # a slow copy
    file.write("app 10 IN A 10.0.0.1"); file.flush(); time.sleep(1.5)
    got = addresses(query(p, "app.a.test"))
verdict(got == ["10.0.0.15"], got, "10.0.0.15: the old data until the last line has its end")
