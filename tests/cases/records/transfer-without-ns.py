# An API zone that can be transferred has an NS record, or check refuses it.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
import dns.zone
args = arguments()
p, case = args.port, Case(args.postern)
case.serve(f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
listen = "127.0.0.1:{p + 2}"
[[zone]]
name = "corp.contoso.com"
api = true
transfer-to = ["127.0.0.0/8"]
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
""", wait=p)
http_request(p + 2, "PUT", "/v1/zones/corp.contoso.com/rrsets/www/A", {"ttl": 60, "records": ["10.0.0.1"]})
try:
    dns.zone.from_xfr(dns.query.xfr("127.0.0.1", "corp.contoso.com", port=p)); result = "transferred"
except dns.exception.DNSException as error:
    result = f"{type(error).__name__}: {error}"
verdict(result == "transferred", f"{result}; check: {case.run('check', '--strict', '-c', 'postern.toml')}", "a zone with an NS record, or an error of check (RFC 1034 section 4.2.1, RFC 1035 section 5.2)")
