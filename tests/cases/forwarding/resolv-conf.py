# A changed resolv.conf is seen.
# It needs root: it works in namespaces of its own.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
if os.environ.get("IN_NAMESPACE") is None:
    os.environ["IN_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "-mn", sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
p, case = args.port, Case(args.postern)
def fixed(text):
    return lambda q, t: [reply(q, [f"{asked(q)[0]} 1 A {text}"])]
Upstream(53, fixed("192.0.2.101"), "127.53.0.2", tcp=False)
Upstream(53, fixed("192.0.2.102"), "127.53.0.3", tcp=False)
resolv = case.write("resolv.conf", "nameserver 127.53.0.2\n")
subprocess.run(["mount", "--bind", resolv, os.path.realpath("/etc/resolv.conf")], check=True)
config = lambda port: f"""[server]
listen = ["127.0.0.1:{port}"]
state = "state-{port}"
poll = "1s"
[api]
socket = false
[[forward]]
zone = "."
upstreams = ["system"]
"""
case.serve(config(p), wait=p)
before = addresses(query(p, "a.example"))
open(resolv, "w").write("nameserver 127.53.0.3\n"); time.sleep(4)
after = addresses(query(p, "b.example"))
open(resolv, "w").write(""); case.serve(config(p + 1), name="empty", wait=p + 1)
open(resolv, "w").write("nameserver 127.53.0.3\n"); time.sleep(4)
late = brief(query(p + 1, "c.example"))
verdict(after == ["192.0.2.102"] and "192.0.2.102" in late, f"before {before}, 4 s after the change {after}; empty at start, filled 4 s ago: {late}", "after the change 192.0.2.102 in both cases, without a reload")
