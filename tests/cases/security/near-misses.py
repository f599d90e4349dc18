# Answers with wrong IDs do not lead to a forged answer.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments(("trials", 5))
p, case = args.port, Case(args.postern)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.bind(("127.0.0.1", p + 1)); sock.settimeout(0.7)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[forward]]
zone = "."
timeout = "10s"
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
try:
    while True:  # the loop probe
        wire, peer = sock.recvfrom(4096); sock.sendto(wire[:2] + b"\x81\x83" + wire[4:], peer)
except TimeoutError: pass
import random
won, ports = 0, set()
for trial in range(args.trials):
    answers, name = [], f"victim{trial}.example"
    client = threading.Thread(target=lambda: answers.append(addresses(query(p, name, timeout=9)))); client.start()
    sock.settimeout(5); wire, peer = sock.recvfrom(4096); ports.add(peer[1])
    end = 12 + len(dns.name.from_text(name).to_wire()) + 4
    tail = b"\x81\x80\0\1\0\1\0\0\0\0" + wire[12:end] + b"\xc0\x0c\0\1\0\1\0\1\x51\x80\0\4\xcb\0\x71\x42"
    ids = list(range(65536)); random.shuffle(ids)
    for n, id in enumerate(ids):
        sock.sendto(struct.pack("!H", id) + tail, peer)
        if n % 400 == 0:
            time.sleep(0.004)
            if answers: break
    client.join(); won += ["203.0.113.66"] in answers
    sock.settimeout(0.2)
    try:
        while True: sock.recvfrom(4096)
    except TimeoutError: pass
verdict(won == 0, f"forged answer accepted and cached in {won} of {args.trials} trials; log {case.log().splitlines()[-1][28:120]}", "after a few wrong IDs the attempt is given up or moved to TCP, with a log line (PowerDNS Recursor spoof-nearmiss-max, Unbound unwanted-reply-threshold)")
