# A dead domain does not change the order of upstreams.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments(("watch", 15))
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.dead_domain)
Upstream(p + 2, behaviors.nxdomain)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}", "127.0.0.1:{p + 2}"]
""", wait=p)
print("before:", brief(query(p, "srv1.corp")))
threads = [threading.Thread(target=query, args=(p, f"w{i}.partner.test")) for i in range(3)]
[t.start() for t in threads]; [t.join() for t in threads]
time.sleep(6)  # health.rs: "at most about 5 s after it is well again"
results = []
for i in range(args.watch):
    results.append(rcode(query(p, f"m{i}.corp")))
    time.sleep(1)
verdict(results[-1] == "NOERROR", f"{results.count('NXDOMAIN')} of {len(results)} names under corp are NXDOMAIN, 6 s to {6 + args.watch} s later", "NOERROR: the first upstream is healthy")
