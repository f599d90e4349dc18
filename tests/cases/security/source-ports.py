# Questions to upstreams leave from many ports.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments(("count", 5000))
p, case, ports = args.port, Case(args.postern), []
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20); sock.bind(("127.0.0.1", p + 1))
def upstream():
    while True:
        wire, peer = sock.recvfrom(4096); ports.append(peer[1]); sock.sendto(wire[:2] + b"\x81\x83" + wire[4:], peer)
threading.Thread(target=upstream, daemon=True).start()
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
workers = 1
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); client.connect(("127.0.0.1", p)); client.settimeout(0.5)
for i in range(0, args.count, 20):
    for j in range(i, i + 20): client.send(dns.message.make_query(f"n{j}.example", "A").to_wire())
    try:
        for _ in range(20): client.recv(4096)
    except TimeoutError: pass
verdict(len(set(ports)) > len(ports) / 2, f"{len(ports)} queries from {len(set(ports))} source ports", "about as many ports as queries (BIND: 4,489 ports for 4,865 queries; RFC 5452 section 9.2)")
