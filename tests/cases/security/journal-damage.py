# Damage inside the journal is not cut off as a torn end.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
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
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
"""
server = case.serve(config, wait=p)
for i in range(100):
    assert http_request(p + 2, "PUT", f"/v1/zones/corp.test/rrsets/n{i}/A", {"ttl": 10, "records": [f"10.0.0.{i}"]})[0] in (200, 201)
server.kill(); server.wait()
path = next(os.path.join(d, f) for d, _, files in os.walk(case.path("state")) for f in files if f.endswith(".journal"))
data = bytearray(open(path, "rb").read())
at = 4096
for _ in range(10):  # frame: 16 octets of head, which begins with the length, and the payload
    at += 16 + struct.unpack("!I", data[at:at + 4])[0]
data[at + 3] ^= 1
open(path, "wb").write(data)
before = len(data)
case.serve(config, name="again", wait=p)
have = sum(rcode(query(p, f"n{i}.corp.test", timeout=2)) == "NOERROR" for i in range(100))
log = [l[28:] for l in case.log("again").splitlines() if "WARN" in l or "ERROR" in l]
after = os.path.getsize(path)
verdict(after == before, f"file {before} -> {after} octets, {have} of 100 records left, log {log[:1]}", "the file is left as it is, the zone is SERVFAIL and the log names the damage (as for a flipped bit in a payload)")
