# Forged ICMP errors fail no question.
# It needs root: it works in namespaces of its own.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
role = os.environ.get("CASE_ROLE")
SERVER, UPSTREAM = "10.97.0.1", "10.97.0.2"
if role == "upstream":
    Upstream(32003, lambda q, t: [0.1, *behaviors.address(q, t)], UPSTREAM, tcp=False); time.sleep(600)
if role == "load":
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.connect((SERVER, 32053)); sock.setblocking(False)
    seconds, began, sent, counts = float(sys.argv[1]), time.time(), 0, {}
    while time.time() - began < seconds + 3:
        while sent < (time.time() - began) * 200 and time.time() - began < seconds:
            sock.send(dns.message.make_query(f"i{sent}-{os.getpid()}.example", "A").to_wire()); sent += 1
        try:
            while True: code = dns.rcode.to_text(sock.recv(4096)[3] & 15); counts[code] = counts.get(code, 0) + 1
        except OSError: pass
        time.sleep(0.002)
    print(sent, counts); sys.exit()
if role == "icmp":
    import random
    to, by, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    mac = lambda m: bytes.fromhex(m.replace(":", ""))
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); raw.bind(("case-u", 0))
    def checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        while total >> 16: total = (total >> 16) + (total & 65535)
        return ~total & 65535
    def ip(source, to, protocol, length):
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 1, 0, 64, protocol, 0) + socket.inet_aton(source) + socket.inet_aton(to)
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    began, n = time.time(), 0
    while time.time() - began < seconds:
        inner = ip(SERVER, UPSTREAM, 17, 60) + struct.pack("!HHHH", random.randrange(32768, 61000), 32003, 60, 0)
        icmp = struct.pack("!BBHI", 3, 3, 0, 0) + inner; icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
        raw.send(mac(to) + mac(by) + b"\x08\0" + ip("10.97.0.99", SERVER, 1, len(icmp)) + icmp); n += 1
        if n % 20 == 0: time.sleep(0.002)
    sys.exit()
args = arguments()
case = Case(args.postern)
sh = lambda c, **e: subprocess.run(c, shell=True, capture_output=True, text=True, env={**os.environ, **e}).stdout.strip()
s, u = f"case-s{os.getpid()}", f"case-u{os.getpid()}"
atexit.register(lambda: [sh(f"ip netns del {n}") for n in (s, u)])
for n in (s, u): sh(f"ip netns add {n}; ip -n {n} link set lo up")
sh(f"ip link add case-s netns {s} type veth peer name case-u netns {u}")
for n, i, a in ((s, "case-s", SERVER), (u, "case-u", UPSTREAM)): sh(f"ip -n {n} addr add {a}/24 dev {i}; ip -n {n} link set {i} up")
time.sleep(1)
me = f"ip netns exec {u} {sys.executable} {os.path.abspath(__file__)}"
case.children.append(subprocess.Popen(me.split(), env={**os.environ, "CASE_ROLE": "upstream"}))
case.serve(f"""[server]
listen = ["{SERVER}:32053"]
[api]
socket = false
[cache]
failure-ttl = 1
[[network]]
name = "hub"
clients = ["10.97.0.0/16"]
[[forward]]
zone = "."
upstreams = ["{UPSTREAM}:32003"]
""", prefix=["ip", "netns", "exec", s])
time.sleep(1.5)
without = sh(me + " 4", CASE_ROLE="load")
mac = lambda n, i: sh(f"ip -n {n} -br link show {i}").split()[2]
attack = threading.Thread(target=sh, args=(f"{me} {mac(s, 'case-s')} {mac(u, 'case-u')} 12",), kwargs={"CASE_ROLE": "icmp"}); attack.start()
during = sh(me + " 10", CASE_ROLE="load"); attack.join()
verdict("SERVFAIL" not in during, f"without {without}, with spoofed ICMP {during}", "0 SERVFAIL of 2,000 (Unbound: 0; Postern: 54)")
