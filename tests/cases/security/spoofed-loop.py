# Forged packets do not stop a route.
# It needs root: it works in namespaces of its own.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
role = os.environ.get("CASE_ROLE")
SERVER, UPSTREAM = "fd99:1::1", "fd99:1::2"
if role == "upstream":
    Upstream(32003, behaviors.address, UPSTREAM, tcp=False); time.sleep(600)
if role == "ask":
    print([rcode(query(32053, f"x{i}-{time.time_ns()}.example", at=SERVER, timeout=2)) for i in range(int(sys.argv[1]))]); sys.exit()
if role == "spoof":
    import random
    to, by, low, high = sys.argv[1:5]
    mac = lambda m: bytes.fromhex(m.replace(":", ""))
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); raw.bind(("case-u", 0))
    def checksum(data):
        data += b"\0" * (len(data) % 2)
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        while total >> 16: total = (total >> 16) + (total & 65535)
        return ~total & 65535
    ports = list(range(int(low), int(high))); random.shuffle(ports)
    address = socket.inet_pton(socket.AF_INET6, SERVER)
    for n, port in enumerate(ports):
        wire = dns.message.make_query(f"s{port}.example", "A").to_wire(); length = 8 + len(wire)
        pseudo = address + address + struct.pack("!IHBB", length, 0, 0, 17)
        total = checksum(pseudo + struct.pack("!HHHH", port, 32053, length, 0) + wire) or 65535
        raw.send(mac(to) + mac(by) + b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, length, 17, 64) + address + address + struct.pack("!HHHH", port, 32053, length, total) + wire)
        if n % 20 == 19: time.sleep(0.001)
    sys.exit()
args = arguments(("recovery", 0))
case = Case(args.postern)
sh = lambda c, **e: subprocess.run(c, shell=True, capture_output=True, text=True, env={**os.environ, **e}).stdout.strip()
s, u = f"case-s{os.getpid()}", f"case-u{os.getpid()}"
atexit.register(lambda: [sh(f"ip netns del {n}") for n in (s, u)])
for n in (s, u): sh(f"ip netns add {n}; ip -n {n} link set lo up")
sh(f"ip link add case-s netns {s} type veth peer name case-u netns {u}")
for n, i, a in ((s, "case-s", SERVER), (u, "case-u", UPSTREAM)): sh(f"ip -n {n} addr add {a}/64 dev {i} nodad; ip -n {n} link set {i} up")
time.sleep(1)
me = f"ip netns exec {u} {sys.executable} {os.path.abspath(__file__)}"
case.children.append(subprocess.Popen(me.split(), env={**os.environ, "CASE_ROLE": "upstream"}))
case.serve(f"""[server]
listen = ["[{SERVER}]:32053"]
[api]
socket = false
[[network]]
name = "hub"
clients = ["fd99::/16"]
[[forward]]
zone = "."
upstreams = ["[{UPSTREAM}]:32003"]
""", prefix=["ip", "netns", "exec", s])
time.sleep(1.5)
before = sh(me + " 5", CASE_ROLE="ask")
mac = lambda n, i: sh(f"ip -n {n} -br link show {i}").split()[2]
low = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
began = time.time(); sh(f"{me} {mac(s, 'case-s')} {mac(u, 'case-u')} {low} {low + 8000}", CASE_ROLE="spoof"); took = time.time() - began
time.sleep(0.5)
after, log = sh(me + " 10", CASE_ROLE="ask"), [l[28:] for l in case.log().splitlines() if "leads back" in l]
began = time.time()
while args.recovery and time.time() - began < 150 and "NOERROR" not in sh(me + " 1", CASE_ROLE="ask"): time.sleep(3)
print(f"answers again after {time.time() - began:.0f} s" if args.recovery else "(third argument 1: wait for the recovery)")
verdict("SERVFAIL" not in after, f"before {before}, after 8,000 packets in {took:.1f} s {after}, log {log[:1]}", "NOERROR: the source address of a datagram proves nothing")
