# A zone reads only the files of its own name.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
case = Case(args.postern)
case.write("zones/a.test.zone", "www 10 IN A 10.0.0.1\n")
case.write("zones/package.json", '{"name":"x","version":"1.0.0"}\n')
case.write("postern.toml", '[[zone]]\nname = "a.test"\ndirectory = "zones"\n[[forward]]\nzone = "."\nupstreams = ["192.0.2.53"]\n')
status, output = case.run("check", "-c", "postern.toml")
verdict(status == 0, f"status {status}: {output}", "status 0: package.json belongs to nobody here")
