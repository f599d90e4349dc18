# A zone file of 40 GB is an error of that zone.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
case.write("big.zone", "a 60 IN A 10.1.1.1\n")
config = f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "corp.test"
file = "big.zone"
on-missing = "nxdomain"
"""
# 4 GiB of address space stand for a machine on which the file does not fit into memory.
server = case.serve(config, wait=p, prefix=["prlimit", f"--as={4 << 30}"])
before = rcode(query(p, "a.corp.test"))
with open(case.path("new"), "w") as file: os.truncate(file.name, 40 << 30)
os.rename(case.path("new"), case.path("big.zone")); time.sleep(2.5)
state = server.poll(); again = case.serve(config, name="again", prefix=["prlimit", f"--as={4 << 30}"]); time.sleep(2)
verdict(state is None, f"before {before}; exit status of the running server {state}, of a restart {again.poll()}; log {case.log().splitlines()[-1][:120]}", "a size limit: the file is rejected and the last good data is served")
