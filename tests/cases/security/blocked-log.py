# A standard error that nobody reads blocks nothing.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
case.write("corp.zone", "a 60 IN A 10.1.1.1\n"); case.write("other.zone", "o 60 IN A 10.1.1.1\n")
reading, writing = os.pipe()
server = case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
state = "state"
[api]
socket = false
listen = "127.0.0.1:{p + 2}"
[metrics]
listen = "127.0.0.1:{p + 3}"
[[zone]]
name = "corp.test"
file = "corp.zone"
on-missing = "nxdomain"
[[zone]]
name = "other.test"
file = "other.zone"
on-missing = "nxdomain"
[[zone]]
name = "api.test"
api = true
""", wait=p, stderr=writing)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.connect(("127.0.0.1", p)); sock.setblocking(False)
for i in range(30000):
    sock.send(dns.message.make_query(f"lg{i}.corp.test", "A").to_wire())
    if i % 100 == 99:
        time.sleep(0.005)
        try:
            while True: sock.recv(4096)
        except BlockingIOError: pass
private = rcode(query(p, "a.corp.test"))
try: edit = http_request(p + 2, "PUT", "/v1/zones/api.test/rrsets/x/A", {"ttl": 5, "records": ["10.1.1.1"]}, timeout=6)[0]
except OSError as error: edit = f"{type(error).__name__} after 6 s"
case.write("other.zone", "o 60 IN A 10.1.1.1\nnew 60 IN A 10.1.1.2\n"); time.sleep(4)
seen = rcode(query(p, "new.other.test"))
ready = http_request(p + 3, "GET", "/ready", timeout=4)[0]
server.terminate()
try: server.wait(15); ended = "ended"
except subprocess.TimeoutExpired: ended = "still running after 15 s"
verdict(edit == 200 and seen == "NOERROR" and ended == "ended", f"private name {private}, API change {edit}, file change {seen}, /ready {ready}, SIGTERM: {ended}", "log lines are dropped and counted; nothing else waits for the log")
