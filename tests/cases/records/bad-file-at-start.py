# One bad file of a directory costs its own change only, after a restart too.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
config = f"""[server]
listen = ["127.0.0.1:{p}"]
[api]
socket = false
[[zone]]
preset = "azure-health-data-services"
directory = "zones"
[[forward]]
zone = "."
upstreams = ["127.0.0.1:{p + 1}"]
"""
endpoint = lambda n: json.dumps({"type": "Microsoft.Network/privateEndpoints", "customDnsConfigs": [{"fqdn": f"contosows-fhir{n}.fhir.azurehealthcareapis.com", "ipAddresses": ["10.20.1.5"]}]})
case.write("zones/pe-a.json", endpoint(1)); case.write("zones/pe-b.json", endpoint(2))
ask = lambda: rcode(query(p, "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com"))
server = case.serve(config, wait=p); states = [ask()]
open(case.path("zones/pe-b.json"), "w").close(); time.sleep(1.5); states.append(ask())
server.terminate(); server.wait(); case.serve(config, wait=p); states.append(ask())
verdict(states[2] == "NOERROR", f"start {states[0]}, one file emptied {states[1]}, after a restart {states[2]}", "NOERROR: a name of the good file (BIND: other zones load)")
