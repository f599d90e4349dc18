# Check does not hang on a FIFO.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
case = Case(args.postern); os.mkfifo(case.path("postern.toml"))
child = subprocess.Popen([case.postern, "check", "-c", case.path("postern.toml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); case.children.append(child)
try: got = f"status {child.wait(5)}"
except subprocess.TimeoutExpired: got = "no result within 5 s"
verdict(got.startswith("status"), got, "an error: not a regular file")
