# Types that never fall back are NODATA, not NXDOMAIN.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.address)
case.write("a.zone", "here 10 IN A 10.20.9.1\n")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "a.test"
file = "a.zone"
on-missing = "public"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
got = {t: rcode(query(p, "x.a.test", t)) for t in ("A", "NS", "SOA", "DS", "ANY")}
verdict("NXDOMAIN" not in got.values(), got, "NOERROR for all types: NODATA with the SOA where the type never falls back (RFC 2308 section 5, RFC 8020 section 2)")
