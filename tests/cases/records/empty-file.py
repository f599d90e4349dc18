# An emptied zone file, hosts file or include keeps the last good data.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.address)
case.write("a.zone", "www 10 IN A 10.0.0.1\n")
case.write("b.hosts", "10.0.0.1 www.b.test\n")
case.write("c.zone", "$INCLUDE c.inc\n"); case.write("c.inc", "www 10 IN A 10.0.0.1\n")
zones = "".join(f'[[zone]]\nname = "{n}.test"\nfile = "{f}"\n' for n, f in (("a", "a.zone"), ("b", "b.hosts"), ("c", "c.zone")))
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[metrics]
listen = "127.0.0.1:{p + 2}"
{zones}[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
before = [addresses(query(p, f"www.{z}.test")) for z in "abc"]
for name in ("a.zone", "b.hosts", "c.inc"):
    open(case.path(name), "w").close()  # what `az … > a.zone` does before az has written anything
time.sleep(1.5)
after = [addresses(query(p, f"www.{z}.test")) for z in "abc"]
log = [l[28:] for l in case.log().splitlines() if "removed" in l]
verdict(after == before, f"before {before}, 1.5 s after the truncation {after}, /ready?strict {http_request(p + 2, 'GET', '/ready?strict')[0]}, log {log[:1]}", "the last good data, and an error in the log (BIND, Knot, NSD, CoreDNS: a file without SOA is an error)")
