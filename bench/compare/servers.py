"""The servers that are compared: what each is given, how it is started, how it is told that its data has changed."""
import dataclasses, http.client, json, os, pathlib, shutil, signal, string, subprocess, sys

import asking
from ports import free_port
from running import DidNotStart, Running

TEMPLATES = pathlib.Path(__file__).parent / "templates"
ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Work:
    """What a server shall do."""

    zones: list = dataclasses.field(default_factory=list)      # of workloads.Zone
    upstream: int = 0                                           # port that everything else is forwarded to; 0: nowhere
    upstreams: tuple = ()                                       # several ports instead, in their order
    threads: int = 1
    cpus: tuple = ()
    cache_mib: int = 64
    recursion: bool = True
    on_missing: str = "nxdomain"                                # Postern alone has a choice


class Peer:
    """A server as Debian ships it. A row that it cannot do stands in `cannot`, with the reason."""

    name = program = package = template = ""
    version_flag = "-v"
    cannot = {}
    unfair = ""
    reload_signal = signal.SIGHUP
    only = ()                                                   # rows that it takes part in; all of them if empty
    settings = {}                                               # more of its template
    between_zones = "\n"

    def find(self):
        return shutil.which(self.program)

    def prepare(self):
        """Builds what is not installed."""

    def version(self):
        run = subprocess.run([self.find(), self.version_flag], capture_output=True, text=True, timeout=20)
        words = [word.strip(",()") for word in (run.stdout + run.stderr).split()]
        return next((word.split("-")[0].split("+")[0] for word in words if word[:1].isdigit() and "." in word), "?")

    def command(self, config, directory):
        raise NotImplementedError

    def zone(self, zone, directory):
        """The part of the configuration that serves one zone."""
        return ""

    def forward(self, ports):
        """The part of the configuration that forwards."""
        return ""

    def interface(self, work):
        """The part of the configuration that lets records be changed, where it is not beside the zone."""
        return ""

    def fill(self, served, zone):
        """Puts the records into a zone that is not read from its file."""

    def start(self, work, directory):
        """Starts it and returns what runs; it need not answer yet."""
        directory.mkdir(parents=True)
        (directory / "db").mkdir()
        port = free_port()
        upstreams = work.upstreams or (work.upstream,) * bool(work.upstream)
        values = self.settings | {
            "port": port,
            "directory": directory,
            "threads": work.threads,
            "cache_mib": work.cache_mib,
            "half_cache_mib": max(1, work.cache_mib // 2),
            "on_missing": work.on_missing,
            "recursion": str(work.recursion).lower(),
            "names": 100_000,
            "api": self.interface(work),
            "forward": self.forward(upstreams) if upstreams else "",
        }
        zones = self.between_zones.join(string.Template(self.zone(zone, directory)).substitute(values) for zone in work.zones)
        text = string.Template((TEMPLATES / self.template).read_text()).substitute(values, zones=zones)
        config = directory / self.template
        config.write_text(text)
        return Served(self, Running(self.command(config, directory), directory, work.cpus), port)

    def changed(self, running):
        """Tells it that its files have changed."""
        running.signal(self.reload_signal)


class Served:
    """A peer that runs, with its port."""

    def __init__(self, peer, running, port):
        self.peer, self.running, self.port = peer, running, port

    @property
    def pid(self):
        return self.running.pid

    def wait_until(self, name, address, seconds=60):
        """Waits for the right answer; the seconds that took."""
        took = asking.wait_for(self.port, name, address, seconds, self.running.alive)
        if took is None:
            raise DidNotStart(f"{self.peer.name} did not answer {name} with {address} in {seconds} s\n{self.running.last_words()}")
        return took

    def wait_until_up(self, seconds=30):
        """Waits for any answer."""
        import time
        with asking.Asker(self.port) as asker:
            until = time.monotonic() + seconds
            while time.monotonic() < until and self.running.alive():
                if asker.ask("ready.contoso.example") is not None:
                    return
        raise DidNotStart(f"{self.peer.name} did not answer\n{self.running.last_words()}")

    def end(self):
        self.running.end()

    close = end


NO_FORWARD = "does not forward"
NO_ZONE = "serves no zone of its own"
NO_UPDATE = "no way to change one record in a running server"
RESOLVER = {"tcp": "is a resolver", "zones": "is a resolver"}

AUTHORITATIVE = {"cached": NO_FORWARD, "spliced": NO_FORWARD, "uncached": NO_FORWARD}


class Nsd(Peer):
    name, program, package, template = "NSD", "nsd", "nsd", "nsd.conf"
    cannot = AUTHORITATIVE | {"record": NO_UPDATE}

    def command(self, config, directory):
        return [self.find(), "-d", "-c", str(config)]

    def zone(self, zone, directory):
        return f'zone:\n  name: "{zone.name}"\n  zonefile: "{zone.file}"'


class Knot(Peer):
    name, program, package, template = "Knot DNS", "knotd", "knot", "knot.conf"
    version_flag = "-V"
    cannot = AUTHORITATIVE

    def command(self, config, directory):
        return [self.find(), "-c", str(config)]

    def zone(self, zone, directory):
        return f'  - domain: "{zone.name}"\n    file: "{zone.file}"'

    def update(self, served, zone, name, address):
        return asking.update(served.port, zone, name, address)


class Bind(Peer):
    name, program, package, template = "BIND", "named", "bind9", "named.conf"

    def start(self, work, directory):
        self.threads = work.threads
        return super().start(work, directory)

    def command(self, config, directory):
        return [self.find(), "-g", "-n", str(self.threads), "-c", str(config)]

    def zone(self, zone, directory):
        update = "allow-update { 127.0.0.1; };" if zone.updated else ""
        return f'zone "{zone.name}" {{ type primary; file "{zone.file}"; journal "{directory}/{zone.name}.jnl"; {update} }};'

    def forward(self, ports):
        return "forward only; forwarders { " + " ".join(f"127.0.0.1 port {port};" for port in ports) + " };"

    def update(self, served, zone, name, address):
        return asking.update(served.port, zone, name, address)


class Unbound(Peer):
    name, program, package, template = "Unbound", "unbound", "unbound", "unbound.conf"
    version_flag = "-V"
    cannot = RESOLVER | {"record": "an auth-zone is read from its file"}

    def command(self, config, directory):
        return [self.find(), "-d", "-c", str(config)]

    def zone(self, zone, directory):
        return f'auth-zone:\n  name: "{zone.name}."\n  zonefile: "{zone.file}"\n  for-downstream: yes\n  for-upstream: yes\n  fallback-enabled: no'

    def forward(self, ports):
        return 'forward-zone:\n  name: "."' + "".join(f"\n  forward-addr: 127.0.0.1@{port}" for port in ports)


class Recursor(Peer):
    name, program, package, template = "PowerDNS Recursor", "pdns_recursor", "pdns-recursor", "recursor.conf"
    version_flag = "--version"
    cannot = RESOLVER | {"record": "an auth-zone is read from its file"}
    between_zones = ","

    def command(self, config, directory):
        return [self.find(), f"--config-dir={directory}"]

    def zone(self, zone, directory):
        return f"{zone.name}={zone.file}"

    def forward(self, ports):
        return "forward-zones-recurse=.=" + ";".join(f"127.0.0.1:{port}" for port in ports)

    def changed(self, running):
        # It gives up waiting after seconds, while the recursor goes on reading: whether the change is served is seen by asking.
        subprocess.run(["rec_control", f"--socket-dir={running.directory}", "reload-zones"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


class Dnsdist(Peer):
    name, program, package, template = "dnsdist", "dnsdist", "dnsdist", "dnsdist.conf"
    version_flag = "--version"
    cannot = {row: NO_ZONE for row in ("private", "tcp", "zones", "load", "file", "reloads", "latency", "record")} | {"spliced": "passes answers on as they are"}

    def command(self, config, directory):
        return [self.find(), "--supervised", "--disable-syslog", "-C", str(config)]

    def forward(self, ports):
        # With one upstream there is nothing to choose, and a lost health check would only take it away.
        up = ":setUp()" if len(ports) == 1 else ""
        return "\n".join(f'newServer({{address="127.0.0.1:{port}", name="upstream-{port}"}}){up}' for port in ports)


class Dnsmasq(Peer):
    name, program, package, template = "dnsmasq", "dnsmasq", "dnsmasq-base", "dnsmasq.conf"
    version_flag = "--version"
    cannot = RESOLVER | {"record": "a hosts file is read whole"}

    def command(self, config, directory):
        return [self.find(), f"--conf-file={config}"]

    def zone(self, zone, directory):
        return f"local=/{zone.name}/\naddn-hosts={zone.hosts}"

    def forward(self, ports):
        return "\n".join(f"server=127.0.0.1#{port}" for port in ports)


class Hickory(Peer):
    """hickory-server, the library, as a server: `bench/examples/hickory.rs`. It is built when it is asked for."""

    name, only = "hickory-server", ("private", "tcp")
    program = "cargo"

    def prepare(self):
        """Cargo tells where it put what it built, wherever that is, and of which version the library is."""
        command = ["cargo", "build", "--profile", "dist", "--locked", "--quiet", "--message-format", "json", "-p", "postern-bench", "--example", "hickory"]
        run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        built = [json.loads(line) for line in run.stdout.splitlines()]
        named = {artifact["target"]["name"]: artifact for artifact in built if artifact["reason"] == "compiler-artifact"}
        self.built = named["hickory"]["executable"]
        self.library = named["hickory_server"]["package_id"].rsplit("@", 1)[1]

    def version(self):
        return self.library

    def start(self, work, directory):
        directory.mkdir(parents=True)
        port, (zone,) = free_port(), work.zones
        command = [self.built, "--listen", f"127.0.0.1:{port}", "--origin", zone.name, "--threads", str(work.threads), str(zone.file)]
        return Served(self, Running(command, directory, work.cpus), port)


class Postern(Peer):
    name, template = "Postern", "postern.toml"
    version_flag = "version"
    settings = {"repeat": "all"}                                # as it is shipped: every fallback is a line of its log

    def find(self):
        return self.program

    def command(self, config, directory):
        return [self.program, "serve", "-c", str(config)]

    def zone(self, zone, directory):
        source = "api        = true" if zone.updated else f'file       = "{zone.file}"'
        return f'[[zone]]\nname       = "{zone.name}"\nnetwork    = ["here"]\n{source}\non-missing = "$on_missing"'

    def interface(self, work):
        if not any(zone.updated for zone in work.zones):
            return "[api]\nsocket = false"
        self.api = free_port()
        return f'[api]\nlisten = "127.0.0.1:{self.api}"\nsocket = false'

    def fill(self, served, zone):
        served.wait_until_up()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.api, timeout=120)
        self.call("POST", f"/v1/zones/{zone.name}/import?mode=replace", zone.file.read_bytes(), "text/plain")

    def update(self, served, zone, name, address):
        """Over a connection that is open, as clients keep it."""
        self.call("PUT", f"/v1/zones/{zone}/rrsets/{name}/A", json.dumps({"ttl": 60, "records": [address]}), "application/json")
        return 0

    def call(self, method, path, body, kind):
        self.connection.request(method, path, body, {"Content-Type": kind})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise DidNotStart(f"{method} {path}: {answer.status} {text[:300]}")

    upstream_keys = "in-flight = 10000"

    def forward(self, ports):
        upstreams = ", ".join(f'{{ address = "127.0.0.1:{port}", {self.upstream_keys} }}' for port in ports)
        return f'[[forward]]\nzone      = "."\nupstreams = [{upstreams}]'

    def changed(self, running):
        """Nothing: it watches."""


class PosternFolded(Postern):
    """Postern that writes a repeated fallback once in five minutes, as busy sites set it."""

    name, only = "Postern, repeat = every 5m", ("private",)
    settings = {"repeat": "every 5m"}

    def version(self):
        return ""


class Mirror(Peer):
    """Sends queries back with QR set: what receiving and sending alone cost."""

    name = "mirror"
    cannot = {row: "knows no answers" for row in ("load", "file", "record", "reloads", "latency")} | {"tcp": "is for UDP"}

    def find(self):
        return self.program

    def version(self):
        return ""

    def start(self, work, directory):
        directory.mkdir(parents=True)
        port = free_port()
        command = [self.program, "bench", "mirror", "--listen", f"127.0.0.1:{port}", "--threads", str(work.threads)]
        return Served(self, Running(command, directory, work.cpus), port)


PEERS = [Mirror(), Postern(), PosternFolded(), Nsd(), Knot(), Bind(), Hickory(), Unbound(), Recursor(), Dnsdist(), Dnsmasq()]


def start_upstream(program, directory, cpus, ttl, aliases=()):
    """`postern bench upstream`, which answers everything."""
    directory.mkdir(parents=True)
    port = free_port()
    command = [program, "bench", "upstream", "--listen", f"127.0.0.1:{port}", "--ttl", str(ttl)]
    for source, target in aliases:
        command += ["--alias", f"{source}={target}"]
    peer = Peer()
    peer.name = "the upstream"
    served = Served(peer, Running(command, directory, cpus), port)
    served.wait_until_up()
    return served


def install(wanted):
    """Installs what is missing, as root on Debian, and sees to it that no service is started."""
    missing = sorted({peer.package for peer in wanted if peer.package and not peer.find()})
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"not installed, and left out: {', '.join(missing)}", file=sys.stderr)
        return
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    try:
        if ours:
            # invoke-rc.d asks this file; 101: what is asked for is forbidden.
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        lock = ["-o", "DPkg::Lock::Timeout=300", "-qq"]
        subprocess.run(["apt-get", "update", *lock], env=environment, check=False, stdout=subprocess.DEVNULL)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *lock, *missing], env=environment, check=False, stdout=subprocess.DEVNULL)
    finally:
        if ours:
            policy.unlink(missing_ok=True)
