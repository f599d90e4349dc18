# One host cannot keep all TCP connections.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
import resource
args = arguments()
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
p, case = args.port, Case(args.postern)
case.write("a.zone", "www 10 IN A 10.0.0.1\n")
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
name = "a.test"
file = "a.zone"
on-missing = "nxdomain"
""", wait=p)
wire = dns.message.make_query("www.a.test", "A").to_wire(); frame = struct.pack("!H", len(wire)) + wire
held = []
for i in range(1000):
    sock = socket.socket(); sock.bind((f"127.0.2.{i % 20 + 1}", 0)); sock.connect(("127.0.0.1", p)); sock.send(frame); held.append(sock)
results = []
for _ in range(4):
    for sock in held:
        try: sock.send(frame)
        except OSError: pass
    results.append(rcode(query(p, "www.a.test", tcp=True, source="127.0.0.10", timeout=1))); time.sleep(4.5)
verdict("none" not in results, f"another client over TCP, every 4.5 s: {results}", "served: idle time shrinks as places fill, or the connection that was idle longest is closed (BIND, Unbound)")
