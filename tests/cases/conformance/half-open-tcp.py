# Half-open connections do not lock their address out of TCP.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
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
held = []
for _ in range(50):
    sock = socket.create_connection(("127.0.0.1", p)); sock.sendall(b"\0"); held.append(sock)
time.sleep(0.3)
same, other = rcode(query(p, "www.a.test", tcp=True, timeout=2)), rcode(query(p, "www.a.test", tcp=True, source="127.0.0.9", timeout=2))
began = time.time()
while rcode(query(p, "www.a.test", tcp=True, timeout=1)) != "NOERROR" and time.time() - began < 20:
    time.sleep(0.3)
verdict(same == "NOERROR", f"same address {same}, other address {other}, same address again after {time.time() - began:.1f} s", "served: the connection that was idle longest is closed (NSD, BIND and Knot Resolver serve 100 connections)")
