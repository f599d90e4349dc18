# A flood for a dead domain leaves other names answered.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments(("rate", 30))
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.dead_domain)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
stop, sock = False, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def flood():
    number, began = 0, time.time()
    while not stop:
        while number < (time.time() - began) * args.rate:
            sock.sendto(dns.message.make_query(f"d{number}-{os.getpid()}.partner.test", "A").to_wire(), ("127.0.0.1", p)); number += 1
        time.sleep(0.002)
thread = threading.Thread(target=flood); thread.start()
time.sleep(3)
results = []
for i in range(5):  # a fresh name every 2.5 s: a success more often than that would keep the upstream up
    results.append((rcode(query(p, f"good{i}-{os.getpid()}.corp")), f"{i}"))
    time.sleep(2.5)
stop = True; thread.join()
good = sum(r == "NOERROR" for r, _ in results)
verdict(good == 5, f"{good} of 5 good names answered at {args.rate} dead names a second: {[r for r, _ in results]}", "5 of 5 (Unbound and BIND: all)")
