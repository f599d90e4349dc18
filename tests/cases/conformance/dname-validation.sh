#!/bin/bash
# A validator behind Postern accepts a signed DNAME.
# usage: dname-validation.sh POSTERN [PORT]
set -e
postern=$(realpath "$1"); port=${2:-32000}; here=$(dirname "$(realpath "$0")"); dir=$(mktemp -d); cd "$dir"
trap 'kill $named $server 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT
cp "$here/up.test.zone" zone
key=$(dnssec-keygen -q -a ECDSAP256SHA256 -f KSK up.test); zsk=$(dnssec-keygen -q -a ECDSAP256SHA256 up.test)
cat "$key.key" "$zsk.key" >> zone
dnssec-signzone -q -o up.test -f signed zone > /dev/null
echo "options { directory \"$dir\"; listen-on port $((port + 1)) { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; recursion no; };
controls { }; zone \"up.test\" { type primary; file \"signed\"; };" > named.conf
named -g -c named.conf > named.log 2>&1 & named=$!
printf '[server]\nlisten = ["127.0.0.1:%s"]\n[api]\nsocket = false\n[[forward]]\nzone = "."\nupstreams = ["127.0.0.1:%s"]\n' "$port" "$((port + 1))" > postern.toml
"$postern" serve -c postern.toml > postern.log 2>&1 & server=$!
sleep 2
awk '$4 == "DNSKEY" && $5 == 257 { printf "trust-anchors { up.test. static-key %s %s %s \"", $5, $6, $7; for (i = 8; i <= NF; i++) printf "%s", $i; print "\"; };" }' "$key.key" > anchor.conf
[ -s anchor.conf ] || awk '$3 == "DNSKEY" { printf "trust-anchors { up.test. static-key %s %s %s \"", $4, $5, $6; for (i = 7; i <= NF; i++) printf "%s", $i; print "\"; };" }' "$key.key" > anchor.conf
ask() { timeout 20 delv @127.0.0.1 -p "$1" -a anchor.conf +root=up.test x.dn.up.test A 2>&1 | head -1 || true; }
direct=$(ask $((port + 1))); through=$(ask "$port")
echo "got:      direct: $direct; through Postern: ${through:-no result within 20 s}"
echo "expected: ; fully validated (RFC 6672 section 5.3.1; through Unbound or BIND: so)"
case $through in *"fully validated"*) echo RIGHT;; *) echo FAULT; exit 1;; esac
