# An import that would remove every record is refused.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = "a.sock"
listen = "127.0.0.1:{p + 2}"
[[zone]]
name = "a.test"
api = true
on-missing = "nxdomain"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
add = lambda: http_request(p + 2, "PUT", "/v1/zones/a.test/rrsets/www/A", {"ttl": 5, "records": ["10.0.0.1"]})
add(); one = case.run("records", "import", "--socket", "a.sock", "--replace", "-", "a.test", stdin="")
first = rcode(query(p, "www.a.test"))
add(); two = http_request(p + 2, "POST", "/v1/zones/a.test/import?mode=replace", "", {"Content-Type": "application/json"})
second = rcode(query(p, "www.a.test"))
verdict(first == second == "NOERROR", f"records import --replace: {one}, then {first}; POST import?mode=replace: {two[0]} {two[1][:120]}, then {second}", "an error and no change, unless an option allows an empty input")
