# Check warns about files of a directory that no zone reads.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
case = Case(args.postern)
case.write("postern.toml", '[[zone]]\npreset = "azure-health-data-services"\ndirectory = "zones"\n[[forward]]\nzone = "."\nupstreams = ["192.0.2.53"]\n')
zone, silent = "privatelink.azurehealthcareapis.com", []
for name in (f"{zone}.txt", f"{zone}.dns", f"db.{zone}", "Privatelink.AzureHealthcareApis.com.zone", "hosts.txt", "pe.json.txt"):
    path = case.write("zones/" + name, "contosows-fhir1.fhir 10 IN A 10.20.1.5\n")
    status, output = case.run("check", "--strict", "-c", "postern.toml")
    os.unlink(path)
    if status == 0 and name not in output:
        silent.append(name)
verdict(not silent, f"status 0 and no warning for {silent}", "a warning that names the unused file, and one for a zone that its directory gives nothing")
