# Several JSON documents in one file load.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
case = Case(args.postern)
one = lambda n: json.dumps({"name": f"pe{n}", "type": "Microsoft.Network/privateEndpoints", "customDnsConfigs": [{"fqdn": f"contosows-fhir{n}.fhir.azurehealthcareapis.com", "ipAddresses": [f"10.20.1.{n}"]}], "privateLinkServiceConnections": []})
case.write("zones/x.json", "\n".join(map(one, (4, 5, 6))) + "\n")
case.write("postern.toml", '[[zone]]\npreset = "azure-health-data-services"\ndirectory = "zones"\n[[forward]]\nzone = "."\nupstreams = ["192.0.2.53"]\n')
status, output = case.run("check", "-c", "postern.toml")
verdict(status == 0, f"status {status}: {output[:400]}", "three records")
