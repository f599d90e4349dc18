# A zone name may have a label *.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
case = Case(args.postern)
case.write("a.zone", "www 10 IN A 10.0.0.1\n")
case.write("postern.toml", '[[zone]]\nname = "bar.*.t1.test"\nfile = "a.zone"\n[[forward]]\nzone = "."\nupstreams = ["192.0.2.53"]\n')
status, output = case.run("check", "-c", "postern.toml")
verdict(status == 0, f"status {status}: {output.splitlines()[0]}", "the zone is loaded (RFC 4592 section 2.1.1; NSD, Knot, BIND, PowerDNS)")
