# Truncated answers survive upstreams that close TCP.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments(("count", 20), ("mode", "tcp_one"))
p, case = args.port, Case(args.postern)
Upstream(p + 1, getattr(behaviors, args.mode))
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
results, began = [], time.time()
threads = [threading.Thread(target=lambda i=i: results.append(rcode(query(p, f"c{i}.example", timeout=12)))) for i in range(args.count)]
[t.start() for t in threads]; [t.join() for t in threads]
failed = len(results) - results.count("NOERROR")
verdict(failed == 0, f"{failed} of {args.count} failed, {time.time() - began:.1f} s: {dict((r, results.count(r)) for r in set(results))}", "all NOERROR (RFC 7766 section 6.2.4; BIND, dnsmasq: 0 failed)")
