"""Rows of the comparison with many zones, and with many networks."""
import contextlib, functools, random, signal, time

import asking
from results import Sheet, Table
from rows import CPU, SHARED, measure_cpu, started
from ports import free_port
from running import DidNotStart, MemoryWatch, Running, memory
from servers import Served, Work
from workloads import Zone, write_names

PATIENCE = 90
ASKED = 200_000                                                 # names of the CPU row: more than any cache near the processor holds
MEGABYTES = 1e6


def zones(context):
    """A thousand zones of a thousand records, each with a file of its own."""
    count, records = context.zones, context.zone_records
    title = f"{count:,} zones of {records:,} A records, a file each"
    columns = {
        "first": ("first right answer s", 2), "all": ("all zones right s", 2), "loading": ("most memory meanwhile MB", 0), "rest": ("memory at rest MB", 0),
        "one": ("one file changed, right after ms", 0), "every": ("all files changed, right after s", 2), "reloading": ("most memory meanwhile MB", 0), "after": ("memory after MB", 0),
    }
    sheet = Sheet("zones", title, columns)
    sheet.unfair = ["Times count from the start of the process or from the last changed file. Every server may use every core."]
    sheet.unfair += ["One changed file: Postern watches and waits until it is still (20 ms by default), the others are told by a signal that makes them look at all zones. All files: everybody is told by a signal."]
    sheet.unfair += ["Memory: proportional share of all processes of a server; at rest and after: two seconds later."]
    directory = context.place("zones-files")
    made = [Zone(directory, f"zone-{number:04}.contoso.example", records) for number in range(count)]
    peers = [peer for peer in context.able("zones") if takes_part(peer, sheet)]
    for turn in range(context.load_rounds):
        for peer in peers[turn % len(peers) :] + peers[: turn % len(peers)]:
            if peer.name != "mirror":
                zones_once(context, peer, made, turn, sheet)
    table = Table("zones-cpu", f"Random names of {title}", CPU, "mirror", unfair=list(SHARED))
    dice = random.Random(context.seed)
    asked = {made[dice.randrange(count)].owner(dice.randrange(records - 1)) for _ in range(min(ASKED, count * records))}
    names = write_names(context.place("names") / "zones", sorted(asked, key=lambda _: dice.random()))

    def ready(one):
        all_right(one, made)

    with started(context, "zones", Work(made, cpus=context.server_cpus), table, ready) as served:
        measure_cpu(context, served, table, ["--query-file", str(names)])
    return [sheet, table]


def takes_part(peer, sheet):
    if reason := peer.cannot.get("zones"):
        sheet.note(peer.name, reason)
    return not reason


def zones_once(context, peer, made, turn, sheet):
    add = functools.partial(sheet.add, peer.name)
    begin = time.monotonic()
    one = peer.start(Work(made, threads=len(context.all_cpus), cpus=context.all_cpus), context.place(f"zones-{peer.name}-{turn}"))
    try:
        with MemoryWatch(one.pid, 0.01) as watch:
            before = time.monotonic() - begin
            first, last = all_right(one, made)
        add("first", before + first)
        add("all", before + last)
        add("loading", watch.most / MEGABYTES)
        time.sleep(2)  # also for those that look at whole seconds of a file's time
        add("rest", memory(one.pid) / MEGABYTES)
        for change in range(context.file_changes):
            zone = made[random.Random(context.seed + change).randrange(len(made))]
            address = f"10.98.0.{1 + (turn * context.file_changes + change) % 250}"
            zone.prepare({zone.last: address})
            begin = time.monotonic()
            zone.publish()
            peer.changed(one.running)
            one.wait_until(zone.owner(zone.last), address, PATIENCE)
            add("one", 1000 * (time.monotonic() - begin))
            time.sleep(1.1)
        for zone in made:
            zone.prepare({zone.last: f"10.99.0.{1 + turn}"})
        with MemoryWatch(one.pid, 0.01) as watch:
            for zone in made:
                zone.publish()
            begin = time.monotonic()
            one.running.signal(signal.SIGHUP)
            all_right(one, made)
            add("every", time.monotonic() - begin)
            time.sleep(1)
        add("reloading", watch.most / MEGABYTES)
        time.sleep(1)
        add("after", memory(one.pid) / MEGABYTES)
    except DidNotStart as error:
        context.say(str(error))
        sheet.note(peer.name, f"a round without all the right answers in {PATIENCE} s")
    finally:
        one.end()


def all_right(one, made):
    """Waits until the last record of every zone is right."""
    times = asking.wait_for_all(one.port, {zone.owner(zone.last): zone.address(zone.last) for zone in made}, PATIENCE, one.running.alive)
    if times is None:
        raise DidNotStart(f"{one.peer.name} did not have every zone right in {PATIENCE} s\n{one.running.last_words()}")
    return times


SITES = 4                                                       # versions of one zone name, each for its part of the networks
EVERY = 20                                                      # one network in so many has a zone of its own


def networks(context):
    """Ten thousand networks: one zone for all, one name with a version for each quarter of them, and a zone of its own for one in twenty."""
    count = context.networks
    columns = {
        "all": ("start to all networks right s", 2), "loading": ("most memory meanwhile MB", 0), "rest": ("memory at rest MB", 0),
        "shared": ("a zone of a quarter changed, right after ms", 0), "own": ("a zone of one network changed, right after ms", 0),
        "every": ("a network added, right after ms", 0), "reloading": ("most memory meanwhile MB", 0),
    }
    sheet = Sheet("networks", f"{count:,} networks", columns)
    sheet.unfair = [f"One zone of 1,000 records for all of them, one name with {SITES} versions of 1,000 records, each linked to its part, and {count // EVERY:,} zones of 100 records for one network each. No other server here has networks that choose zones by the client's address without a list of zones each."]
    sheet.unfair += ["Right: the version of its network, asked for from an address in each of 200 networks; from the start of the process, or from the change of the file (configuration or zone), which is watched."]
    table = Table("networks-cpu", f"Private names in one of {count:,} networks", CPU, "mirror", unfair=[*SHARED, "All questions come from one network, whose place among the others is found anew for each."])
    served = Networks(context.place("networks"), count)
    postern = next(peer for peer in context.peers if peer.name == "Postern")
    for turn in range(context.load_rounds):
        networks_once(context, postern, served, turn, sheet)
    mirror = next(peer for peer in context.peers if peer.name == "mirror")
    questions = write_names(context.place("names") / "networks", [served.everybody.owner(number) for number in range(served.everybody.count)] + [served.sites[0].owner(number) for number in range(served.sites[0].count)])
    with contextlib.ExitStack() as stack:
        ones = [mirror.start(Work(cpus=context.server_cpus), context.place("networks-mirror")), served.start(postern, context.server_cpus)]
        for one in ones:
            stack.callback(one.end)
        served.all_right(ones[1])
        measure_cpu(context, ones, table, ["--names", str(questions)])
    return [sheet, table]


def networks_once(context, postern, served, turn, sheet):
    add = functools.partial(sheet.add, "Postern")
    begin = time.monotonic()
    one = served.start(postern, context.all_cpus)
    try:
        with MemoryWatch(one.pid, 0.01) as watch:
            served.all_right(one)
            add("all", time.monotonic() - begin)
        add("loading", watch.most / MEGABYTES)
        time.sleep(2)
        add("rest", memory(one.pid) / MEGABYTES)
        number = EVERY * (turn + 1)
        for change in range(context.file_changes):
            for column, zone, network in (("shared", served.sites[number % SITES], number), ("own", served.own[number], number)):
                address = f"10.98.{turn}.{1 + change}"
                zone.prepare({0: address})
                begin = time.monotonic()
                zone.publish()
                served.wait_until(one, network, zone, address)
                add(column, 1000 * (time.monotonic() - begin))
        with MemoryWatch(one.pid, 0.01) as watch:
            for change in range(context.file_changes):
                added = served.add_network()
                begin = time.monotonic()
                served.publish()
                served.wait_until(one, added, served.sites[added % SITES], served.sites[added % SITES].address(0))
                add("every", 1000 * (time.monotonic() - begin))
                time.sleep(1)
        add("reloading", watch.most / MEGABYTES)
    except DidNotStart as error:
        context.say(str(error))
        sheet.note("Postern", f"a round without all the right answers in {PATIENCE} s")
    finally:
        one.end()


class Networks:
    """A configuration with many networks, each a /24 of the loopback network, so that one can ask from any of them."""

    def __init__(self, directory, count):
        self.directory, self.count = directory, count
        directory.mkdir()
        self.everybody = Zone(directory / "everybody", "everybody.contoso.example", 1000)
        self.sites = [Zone(directory / f"site-{site}", "site.contoso.example", 1000, net=f"10.{20 + site}.0.0") for site in range(SITES)]
        self.own = {number: Zone(directory / f"own-{number}", "own.contoso.example", 100, net=f"10.{100 + (number >> 8)}.{number & 255}.0") for number in range(0, count, EVERY)}
        self.config = directory / "postern.toml"
        self.port = free_port()
        self.publish()

    @staticmethod
    def address(number, host=1):
        """In the network of that number. Network 0 is that of 127.0.0.1."""
        return f"127.{number >> 8}.{number & 255}.{host}"

    def add_network(self):
        """One more, at the end; it is in the part that its number says. Gives its number."""
        self.count += 1
        return self.count - 1

    def publish(self):
        name = lambda number: f'"network-{number:05}"'
        lines = [f'[server]\nlisten  = ["127.0.0.1:{self.port}"]\nworkers = 1\n\n[log]\nlevel = "warn"\n\n[api]\nsocket = false\n']
        lines += [f'[[network]]\nname    = {name(number)}\nclients = ["{self.address(number, 0)}/24"]\n' for number in range(self.count)]
        lines += [f'[[zone]]\nname = "{self.everybody.name}"\nfile = "{self.everybody.file}"\n']
        for site, zone in enumerate(self.sites):
            linked = ", ".join(name(number) for number in range(site, self.count, SITES))
            lines += [f'[[zone]]\nname    = "{zone.name}"\nfile    = "{zone.file}"\nnetwork = [{linked}]\n']
        lines += [f'[[zone]]\nname    = "{zone.name}"\nfile    = "{zone.file}"\nnetwork = [{name(number)}]\n' for number, zone in self.own.items()]
        new = self.directory / "new.toml"
        new.write_text("\n".join(lines))
        new.rename(self.config)

    def start(self, postern, cpus):
        return Served(postern, Running([postern.program, "serve", "-c", str(self.config)], self.directory, cpus), self.port)

    def wait_until(self, one, network, zone, address):
        if asking.wait_for(one.port, zone.owner(0), address, PATIENCE, one.running.alive, source=self.address(network)) is None:
            raise DidNotStart(f"network {network}: {zone.owner(0)} was not {address} in {PATIENCE} s\n{one.running.last_words()}")

    def all_right(self, one):
        """Two hundred networks of all kinds see what is theirs; the first that is asked has seen it when all do, as one state is served whole."""
        step = max(1, self.count // 200)
        for number in range(0, self.count, step):
            for zone in (self.everybody, self.sites[number % SITES], self.own.get(number)):
                if zone:
                    self.wait_until(one, number, zone, zone.address(0))


ROWS = {"zones": zones, "networks": networks}
