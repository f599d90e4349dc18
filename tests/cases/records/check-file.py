# `postern check` accepts a file that people export, with a warning for what it cannot use: `check-file.py POSTERN ZONE FILE`.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
parser = argparse.ArgumentParser()
[parser.add_argument(name) for name in ("postern", "zone", "file")]
args = parser.parse_args()
case = Case(os.path.abspath(args.postern))
name = os.path.basename(shutil.copy(args.file if os.path.exists(args.file) else os.path.join(HERE, args.file), case.dir))
case.write("postern.toml", f'[[zone]]\nname = "{args.zone}"\nfile = "{name}"\n[[forward]]\nzone = "."\nupstreams = ["192.0.2.53"]\n')
status, output = case.run("check", "-c", "postern.toml")
verdict(status == 0, f"status {status}: {output}", "status 0; a warning for the line that cannot be used")
