# Check reports upstreams that can never work.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
p, case = args.port, Case(args.postern)
case.write("link.toml", '[[forward]]\nzone = "."\nupstreams = ["fe80::1"]\n')
case.write("prefix.toml", '[[forward]]\nzone = "10.0.0.0/20"\nupstreams = ["192.0.2.53"]\n[[forward]]\nzone = "."\nupstreams = ["192.0.2.53"]\n')
link, prefix = case.run("check", "--strict", "-c", "link.toml"), case.run("check", "--strict", "-c", "prefix.toml")
verdict(link[0] and prefix[0], f"fe80::1: {link}; 10.0.0.0/20: {prefix}", "an error that a scope is missing; a warning that names the reverse zone")
