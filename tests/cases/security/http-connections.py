# Silent connections do not block the API and the probes.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
import resource
args = arguments()
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
p, case = args.port, Case(args.postern)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
listen = "127.0.0.1:{p + 2}"
[metrics]
listen = "127.0.0.1:{p + 3}"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
got = {}
for port, path in ((p + 2, "/v1/zones"), (p + 3, "/ready")):
    held = []
    for i in range(3000):
        sock = socket.socket(); sock.setblocking(False); sock.connect_ex(("127.0.0.1", port)); held.append(sock)
        if i % 100 == 0: time.sleep(0.02)
    time.sleep(0.5); began = time.time()
    try: status = http_request(port, "GET", path, timeout=40)[0]
    except OSError as error: status = type(error).__name__
    got[path] = f"{status} after {time.time() - began:.1f} s"
    [sock.close() for sock in held]; time.sleep(0.5)
verdict(all(float(v.split()[-2]) < 2 for v in got.values()), got, "200 at once: a bound on the connections of one address")
