# Every type mnemonic of the IANA table is known.
import os, sys; sys.dont_write_bytecode = True; sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from caselib import *
import behaviors
args = arguments()
case, refused = Case(args.postern), []
for rdtype in "IPSECKEY HIP AMTRELAY RESINFO WALLET DSYNC HHIT BRID TALINK NINFO RKEY DLV TA AVC DOA WKS NSAP NSAP-PTR NXT SIG MD MF EID NIMLOC ATMA A6 SINK".split():
    case.write("a.zone", f"www 10 IN A 10.0.0.1\nx 10 IN {rdtype} \\# 0\n")
    case.write("postern.toml", '[[zone]]\nname = "a.test"\nfile = "a.zone"\n[[forward]]\nzone = "."\nupstreams = ["192.0.2.53"]\n')
    status, output = case.run("check", "-c", "postern.toml")
    if "unknown type" in output or "mnemonic" in output or "not a record type" in output:
        refused.append(rdtype)
case.write("a.zone", "www 10 IN A 10.0.0.1\nx 10 IN IPSECKEY 10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==\n")
status, output = case.run("check", "-c", "postern.toml")
verdict(not refused and status == 0, f"unknown: {refused}; IPSECKEY: {output.splitlines()[0]}", "known by name, or one bad record costs only itself")
