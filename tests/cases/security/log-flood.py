# A flood of fallbacks writes a bounded log.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments(("count", 100000))
p, case = args.port, Case(args.postern)
Upstream(p + 1, behaviors.address)
case.write("z.zone", "a 60 IN A 10.1.1.1\n")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "privatelink.blob.core.windows.net"
file = "z.zone"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
wire = dns.message.make_query("missing.privatelink.blob.core.windows.net", "A").to_wire()
query(p, "missing.privatelink.blob.core.windows.net"); time.sleep(0.5)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.connect(("127.0.0.1", p)); sock.setblocking(False)
size, began, answers = os.path.getsize(case.path("postern.log")), time.time(), 0
for i in range(args.count):
    sock.send(wire)
    try:
        while True: sock.recv(4096); answers += 1
    except BlockingIOError: pass
    if i % 200 == 199: time.sleep(0.003)
took = time.time() - began; time.sleep(1.5)
grown = os.path.getsize(case.path("postern.log")) - size
verdict(grown < 1_000_000, f"{args.count} identical queries in {took:.1f} s, {answers} answers read: the log grew by {grown / 1e6:.1f} MB", "bounded: one line for a name and a time, with a count")
