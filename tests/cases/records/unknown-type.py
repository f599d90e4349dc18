# Types without mnemonic are written as TYPEn.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
case.write("a.zone", "www 10 IN A 10.0.0.1\n")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = "a.sock"
[[zone]]
name = "a.test"
file = "a.zone"
on-missing = "nxdomain"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
for rdtype in ("DHCID", "LOC", "EUI48", "AMTRELAY", "TYPE65400"):
    query(p, f"x-{rdtype}.a.test", rdtype)
time.sleep(0.5)
lines = [l for l in case.log().splitlines() if 'type="Unknown"' in l]
explain = case.run("explain", "--socket", "a.sock", "loc.a.test", "LOC")[1]
verdict(not lines and "Unknown" not in explain, f"{len(lines)} of 5 log lines with type=\"Unknown\"; explain: {explain.splitlines()[0]}", "the mnemonic, or TYPE65400 (RFC 3597)")
