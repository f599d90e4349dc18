"""The rows of the comparison. Each gives the tables that it filled."""
import contextlib, statistics, time

import asking
from results import Table
from running import DidNotStart, MemoryWatch, memory
from servers import Work, start_upstream
from workloads import Zone, write_names

NAMES = 10_000
PRIVATE_ZONE = "privatelink.azurehealthcareapis.com"
ALIASES = [("www.contoso.example", "edge.fabrikam.example"), ("fhir.azurehealthcareapis.com", f"fhir.{PRIVATE_ZONE}")]
CPU = "µs of CPU a query"
SHARED = [
    "Server and load run on one machine over loopback: the server pays for delivering its answers, the load for delivering its questions.",
    "What a server does beside its job (statistics, logs of warnings, housekeeping threads) is in its number, as Debian ships it.",
]
DNSDIST = "dnsdist has a second thread that receives what its upstream answers, and receives and sends one datagram a system call as Debian ships it."


@contextlib.contextmanager
def started(context, key, work, table, check=None):
    """Starts every peer that can do the row; those that cannot are noted with the reason. All run at once: who is not asked costs nothing."""
    served = []
    with contextlib.ExitStack() as stack:
        for peer in context.able(key):
            if reason := peer.cannot.get(key):
                table.note(peer.name, reason)
                continue
            try:
                one = peer.start(work, context.place(f"{key}-{peer.name}"))
                stack.callback(one.end)
                if peer.name == "mirror" or not work.zones:
                    # A resolver that has zones alone would ask the Internet for any other name; the check waits for the zone.
                    one.wait_until_up()
                if peer.name != "mirror" and check and (problem := check(one)):
                    table.note(peer.name, problem)
                    continue
                served.append(one)
            except DidNotStart as error:
                context.say(str(error))
                table.note(peer.name, "did not start")
        yield served


def measure_cpu(context, served, table, questions):
    """Rounds of load on each server in turn; who comes first changes."""
    for turn in range(context.rounds):
        for one in served[turn % len(served) :] + served[: turn % len(served)]:
            run = undisturbed(context, one, [*questions, "--seed", str(turn + 1), "--window", str(context.window)])
            if run is None:
                table.note(one.peer.name, f"round {turn + 1} lost most of its queries and is left out")
                continue
            table.add(one.peer.name, run["server"]["cpu_per_query"], turn)
            judge(table, one, run)


def undisturbed(context, one, arguments):
    """A closed loop, done again (twice at most) where queries were lost: other traffic of the machine fills the queue that loopback shares.
    The run that lost least, or None where even that lost half: what it says of the server is nothing."""
    best = None
    for _ in range(3):
        report = context.bench(one, [*arguments, "--timeout", "500ms"])
        run = report and report["runs"][0]
        if run and (best is None or run["loss"] < best["loss"]):
            best = run
        if best and best["loss"] < 0.0001:
            break
    return best if best and best["loss"] < 0.5 else None


def judge(table, one, run):
    """What a reader must know of a run before believing its number."""
    counts = run["counts"]
    if one.peer.name != "mirror" and counts["unpromised"] > counts["answered"] / 1000:
        table.note(one.peer.name, f"{100 * counts['unpromised'] / counts['answered']:.1f} % of the answers are wrong")
    table.lose(one.peer.name, run["loss"])


def right(zone, number=7):
    """A check: the server has the zone."""

    def check(one):
        one.wait_until(zone.owner(number), zone.address(number))

    return check


def private(context):
    table = Table("private", "Private answer: 80 % data, 10 % NODATA, 10 % NXDOMAIN, 10,000 names", CPU, "mirror", target=1.08, unfair=list(SHARED))
    table.unfair += ["Postern writes a line of its log for every NXDOMAIN of a private zone (who asked, and the record that would mend it); with `repeat = \"every 5m\"` one for each name in five minutes. Nobody else keeps such a record."]
    table.unfair += ["Recursor, Unbound and dnsmasq are resolvers: a zone of their own is not what they were made for."]
    table.unfair += ["hickory-server goes through its whole zone for every answer that says no: that is nearly all of its number."]
    zone = Zone(context.place("zone-private"), PRIVATE_ZONE, NAMES)
    with started(context, "private", Work([zone], threads=1, cpus=context.server_cpus), table, right(zone)) as served:
        measure_cpu(context, served, table, ["--zone", str(zone.file), "--nodata", "10%", "--nxdomain", "10%"])
    return [table]


def tcp(context):
    """Many questions under way on each of a few connections: what a resolver that forwards over TCP or TLS sends."""
    asked = "private data over TCP, 10,000 names, 20 connections with 40 questions under way each"
    rate = Table("tcp", f"Answers a second: {asked}", "answers a second", "hickory-server", digits=0, target=1.6, more_is_better=True)
    cost = Table("tcp-cost", f"Server CPU: {asked}", CPU, "hickory-server")
    rate.unfair = [SHARED[0], "Data alone is asked for: hickory-server goes through its whole zone to say that something is not there (row `private`)."]
    rate.unfair += ["It is the library with its own zone, catalog and listeners (`bench/examples/hickory.rs`), which reads one question after another and writes each answer alone; nothing listens to its log."]
    rate.unfair += ["A rate is that of the load where the load was slower than the server, which the remarks say: then only the CPU time tells."]
    cost.unfair = [SHARED[1]]
    zone = Zone(context.place("zone-tcp"), PRIVATE_ZONE, NAMES)
    questions = ["--names", str(write_names(context.place("names") / "tcp", [zone.owner(number) for number in range(NAMES)])), "--over", "tcp", "--ports", "20", "--window", "800"]
    with started(context, "tcp", Work([zone], threads=1, cpus=context.server_cpus), rate, right(zone)) as served:
        for turn in range(context.rounds):
            for one in served[turn % len(served) :] + served[: turn % len(served)]:
                run = undisturbed(context, one, [*questions, "--seed", str(turn + 1)])
                if run is None:
                    rate.note(one.peer.name, f"round {turn + 1} lost most of its queries and is left out")
                    continue
                rate.add(one.peer.name, run["rate"], turn)
                cost.add(one.peer.name, run["server"]["cpu_per_query"], turn)
                judge(rate, one, run)
                if was_limited(run):
                    rate.note(one.peer.name, "the load was the limit")
    return [rate, cost]


def was_limited(run):
    """The load needed its whole core while the server left some of its own."""
    return run["server"]["cpu_per_query"] * run["rate"] < 0.9e6 and bool(run["generator_limits"])


def cached(context):
    table = Table("cached", "Cached public answer with one CNAME, 10,000 names", CPU, "mirror", target=1.15, unfair=[*SHARED, DNSDIST])
    table.unfair += ["dnsmasq's cache is meant for thousands of names, not for tens of thousands of entries: every name is two."]
    names = write_names(context.place("names") / "cached", [f"w{number}.{ALIASES[0][0]}" for number in range(NAMES)])
    with contextlib.ExitStack() as stack:
        upstream = start_upstream(context.program, context.place("upstream-cached"), context.load_cpus, 3600, ALIASES)
        stack.callback(upstream.end)
        served = stack.enter_context(started(context, "cached", Work(upstream=upstream.port, cpus=context.server_cpus), table, warmed(context, names)))
        measure_cpu(context, served, table, ["--names", str(names)])
    return [table]


def warmed(context, names):
    """A check that asks every name twice, gently: then it is cached."""

    def check(one):
        for _ in range(2):
            context.bench(one, ["--query-file", str(names), "--queries", str(NAMES), "--window", "50"], seconds=20, warmup="0s")

    return check


def spliced(context):
    table = Table("spliced", "Cached answer spliced into a private zone, 10,000 names", CPU, "mirror", target=1.15, unfair=list(SHARED))
    zone = Zone(context.place("zone-spliced"), PRIVATE_ZONE, NAMES, "w{}.fhir")
    names = write_names(context.place("names") / "spliced", [f"w{number}.{ALIASES[1][0]}" for number in range(NAMES)])
    warm = warmed(context, names)

    def check(one):
        one.wait_until(zone.owner(7), zone.address(7))
        warm(one)
        with asking.Asker(one.port) as asker:
            found = asker.addresses(f"w7.{ALIASES[1][0]}", 3)
        if found != {zone.address(7)}:
            return f"wrong: answers {', '.join(sorted(found or {'nothing'}))}, which is not the private address"

    with contextlib.ExitStack() as stack:
        upstream = start_upstream(context.program, context.place("upstream-spliced"), context.load_cpus, 3600, ALIASES)
        stack.callback(upstream.end)
        work = Work([zone], upstream=upstream.port, cpus=context.server_cpus)
        served = stack.enter_context(started(context, "spliced", work, table, check))
        measure_cpu(context, served, table, ["--names", str(names)])
    return [table]


def uncached(context):
    table = Table("uncached", "Uncached forward over UDP (the floor is 2)", CPU, "mirror", target=2.6, unfair=[*SHARED, DNSDIST])
    table.unfair += ["Load and upstream share a core; what the upstream needs a question is in the first remark."]
    names = write_names(context.place("names") / "uncached", [f"s{number}.fabrikam.example" for number in range(1000)])
    with contextlib.ExitStack() as stack:
        upstream = start_upstream(context.program, context.place("upstream-uncached"), context.load_cpus, 60)
        stack.callback(upstream.end)
        work = Work(upstream=upstream.port, cpus=context.server_cpus)
        served = stack.enter_context(started(context, "uncached", work, table))
        measure_cpu(context, served, table, ["--names", str(names), "--hit-ratio", "0"])
        # Whether it was the bottleneck: what it costs, and how fast it is alone.
        report = context.bench(upstream, ["--names", str(names), "--hit-ratio", "0", "--window", str(context.window)])
        run = report["runs"][0]
        table.unfair[-1] = f"Load and upstream share a core: alone the upstream answers {run['rate']:,.0f} questions a second at {run['server']['cpu_per_query']:.2f} µs each."
    return [table]


def load(context):
    count = context.records
    title = f"{count:,} A records"
    tables = {
        "time": Table("load", f"{title}: from start to the first right answer", "s", "Knot DNS", target=0.7),
        "rest": Table("memory", f"{title}: memory at rest", "MB", digits=0, target=150),
        "reloading": Table("memory-reloading", f"{title}: most memory while one record changes in the file", "MB", digits=0, target=300),
        "change": Table("reload", f"{title}: from the changed file to the first right answer", "s", "Knot DNS"),
        "before": Table("latency-before", f"{title}: query latency p99.9 before, 10,000 questions a second", "ms", digits=2),
        "during": Table("latency-reloading", f"{title}: query latency p99.9 while it reads the changed file", "ms", digits=2),
    }
    tables["time"].unfair = ["Every server may use every core; those with one loading thread use one."]
    tables["rest"].unfair = ["Proportional share of all processes of a server, two seconds after its first right answer."]
    tables["change"].unfair = ["Postern watches its files; the others are told by a signal, at once."]
    tables["during"].unfair = ["The load has a core of its own that the server may use too."]
    zone = Zone(context.place("zone-load"), "load.contoso.example", count)
    names = write_names(context.place("names") / "load", [zone.owner(number) for number in range(0, count, max(1, count // NAMES))])
    for peer in context.able("load"):
        if reason := peer.cannot.get("load"):
            tables["time"].note(peer.name, reason)
    able = [peer for peer in context.able("load") if "load" not in peer.cannot]
    for turn in range(context.load_rounds):
        for peer in able[turn % len(able) :] + able[: turn % len(able)]:
            begin = time.monotonic()
            one = peer.start(Work([zone], threads=len(context.all_cpus), cpus=context.all_cpus), context.place(f"load-{peer.name}-{turn}"))
            try:
                one.wait_until(zone.owner(zone.last), zone.address(zone.last), context.patience)
                tables["time"].add(peer.name, time.monotonic() - begin)
                time.sleep(2)
                tables["rest"].add(peer.name, memory(one.pid) / 1e6)
                reload_once(context, one, zone, names, turn, tables)
            except DidNotStart as error:
                context.say(str(error))
                tables["time"].note(peer.name, f"a round without the right answer in {context.patience} s")
            finally:
                one.end()
    return list(tables.values())


def reload_once(context, one, zone, names, turn, tables):
    """Changes one record in the file, once for time and memory, once more under questions for latency."""
    name, questions = one.peer.name, ["--names", str(names), "--rate", "10k", "--poisson"]
    address = f"192.0.2.{1 + turn}"
    zone.prepare({zone.last: address})
    with MemoryWatch(one.pid) as watch:
        begin = time.monotonic()
        zone.publish()
        one.peer.changed(one.running)
        one.wait_until(zone.owner(zone.last), address, context.patience)
        tables["change"].add(name, time.monotonic() - begin)
        time.sleep(1)
    tables["reloading"].add(name, watch.most / 1e6)
    before = context.bench(one, questions, cpus=context.load_cpus)
    address = f"198.51.100.{1 + turn}"
    zone.prepare({zone.last: address})

    def change():
        zone.publish()
        one.peer.changed(one.running)

    # The change falls into the beginning of what is measured; a run is at least as long as the reload took.
    during = context.bench(one, questions, seconds=max(context.seconds, tables["change"].series[name].median + 1), meanwhile=(0.5, change), cpus=context.load_cpus)
    for key, report in (("before", before), ("during", during)):
        if report:
            run = report["runs"][0]
            tables[key].add(name, run["latency"]["p99.9"] / 1000)
            tables[key].lose(name, run["loss"])
    try:
        one.wait_until(zone.owner(zone.last), address, context.patience)
    except DidNotStart:
        tables["change"].note(name, "a change under questions was not served")


def record(context):
    """One record through the server's own interface; a peer that has one has a method `update`."""
    table = Table("record", f"One record of {context.records:,} changed through the server's own interface, to the first right answer", "ms", digits=2, target=1)
    table.unfair = ["BIND and Knot take RFC 2136 updates over UDP, Postern a PUT over HTTP; all write a journal before they answer."]
    zone = Zone(context.place("zone-record"), "load.contoso.example", context.records)
    zone.updated = True
    for peer in context.able("record"):
        if reason := peer.cannot.get("record"):
            table.note(peer.name, reason)
            continue
        one = peer.start(Work([zone], threads=len(context.all_cpus), cpus=context.all_cpus), context.place(f"record-{peer.name}"))
        try:
            peer.fill(one, zone)
            one.wait_until(zone.owner(zone.last), zone.address(zone.last), context.patience)
            time.sleep(5)  # a million records were just written: what the disk has left to do is not this row's
            for turn in range(context.changes):
                name, address = zone.owner(1000 * turn), f"192.0.2.{1 + turn % 250}"
                begin = time.monotonic()
                rcode = peer.update(one, zone.name, name, address)
                if rcode != 0:
                    raise DidNotStart(f"{peer.name} refused the change: RCODE {rcode}\n{one.running.last_words()}")
                one.wait_until(name, address, 10)
                table.add(peer.name, 1000 * (time.monotonic() - begin))
        except (DidNotStart, OSError) as error:
            context.say(str(error))
            table.note(peer.name, "failed")
        finally:
            one.end()
    return [table]


def file(context):
    table = Table("file", "A file of 100 records changed, to the first right answer", "ms", digits=1, target=100)
    table.unfair = ["Only Postern watches its files; the others are told by a signal (Recursor: a command) right after the change. Postern waits until the file is still (20 ms by default)."]
    for peer in context.able("file"):
        if reason := peer.cannot.get("file"):
            table.note(peer.name, reason)
            continue
        zone = Zone(context.place(f"zone-file-{peer.name}"), "site.contoso.example", 100)
        try:
            one = peer.start(Work([zone], cpus=context.server_cpus), context.place(f"file-{peer.name}"))
            with contextlib.ExitStack() as stack:
                stack.callback(one.end)
                one.wait_until(zone.owner(50), zone.address(50))
                for turn in range(context.changes):
                    # NSD and others look at the time of the file, and some at whole seconds of it.
                    time.sleep(1.05)
                    address = f"192.0.2.{1 + turn}"
                    zone.prepare({50: address})
                    begin = time.monotonic()
                    zone.publish()
                    peer.changed(one.running)
                    one.wait_until(zone.owner(50), address, 20)
                    table.add(peer.name, 1000 * (time.monotonic() - begin))
            table.note(peer.name, "by watching" if peer.name == "Postern" else "when told")
        except DidNotStart as error:
            context.say(str(error))
            table.note(peer.name, "the change was not served")
    return [table]


def reloads(context):
    lost = Table("reloads", f"Queries lost during {context.reloads} reloads, one every 100 ms, under full load", "lost", digits=0, target=0)
    tail = Table("reloads-latency", "Latency p99.9 meanwhile", "ms", digits=2)
    lost.unfair = ["Postern watches; the others are told by a signal. A server that is still reading joins several changes in one."]
    for peer in context.able("reloads"):
        if reason := peer.cannot.get("reloads"):
            lost.note(peer.name, reason)
            continue
        zone = Zone(context.place(f"zone-reloads-{peer.name}"), "site.contoso.example", 100)
        try:
            one = peer.start(Work([zone], cpus=context.server_cpus), context.place(f"reloads-{peer.name}"))
            with contextlib.ExitStack() as stack:
                stack.callback(one.end)
                one.wait_until(zone.owner(50), zone.address(50))

                def change_again_and_again():
                    for turn in range(context.reloads):
                        begin = time.monotonic()
                        zone.prepare({50: f"192.0.2.{1 + turn % 250}"})
                        zone.publish()
                        peer.changed(one.running)
                        time.sleep(max(0, begin + 0.1 - time.monotonic()))

                questions = ["--zone", str(zone.file), "--window", str(context.window)]
                report = context.bench(one, questions, seconds=context.reloads * 0.1 + 1, meanwhile=(0.5, change_again_and_again))
                run = report["runs"][0]
                lost.add(peer.name, run["counts"]["timed_out"] + run["counts"]["cut_off"])
                lost.note(peer.name, f"of {run['counts']['sent']:,}")
                tail.add(peer.name, run["latency"]["p99.9"] / 1000)
                one.wait_until(zone.owner(50), zone.address(50), 20)
        except (DidNotStart, OSError, TypeError) as error:
            context.say(f"{peer.name}: {error}")
            lost.note(peer.name, "failed")
    return [lost, tail]


def latency(context):
    """Open loop at half of the highest rate of a closed loop; and at one rate for all of a kind."""
    tables = []
    for title, key, names in (("private answer", "private", ("Postern", "NSD")), ("cached public answer", "cached", ("Postern", "Unbound"))):
        peers = [peer for peer in context.able("latency") if peer.name in names]
        zone = Zone(context.place(f"zone-latency-{key}"), PRIVATE_ZONE, NAMES)
        listed = write_names(context.place("names") / f"latency-{key}", [f"w{number}.{ALIASES[0][0]}" for number in range(NAMES)])
        questions = ["--zone", str(zone.file), "--nodata", "10%", "--nxdomain", "10%"] if key == "private" else ["--names", str(listed)]
        with contextlib.ExitStack() as stack:
            upstream = start_upstream(context.program, context.place(f"upstream-latency-{key}"), context.load_cpus, 3600, ALIASES)
            stack.callback(upstream.end)
            work = Work([zone], cpus=context.server_cpus) if key == "private" else Work(upstream=upstream.port, cpus=context.server_cpus)
            served = []
            for peer in peers:
                one = peer.start(work, context.place(f"latency-{key}-{peer.name}"))
                stack.callback(one.end)
                if key == "private":
                    right(zone)(one)
                else:
                    one.wait_until_up()
                    warmed(context, listed)(one)
                served.append(one)
            highest = {one.peer.name: [] for one in served}
            for turn in range(context.rounds):
                for one in served:
                    run = undisturbed(context, one, [*questions, "--window", str(context.window), "--seed", str(turn + 1)])
                    if run:
                        highest[one.peer.name].append(run["rate"])
            served = [one for one in served if highest[one.peer.name]]
            half = {one.peer.name: statistics.median(highest[one.peer.name]) / 2 for one in served}
            lowest = min(half.values())
            quantiles = {q: Table(f"latency-{key}-{q}", f"Latency {q}, {title}, open loop (Poisson) at half of the highest rate", "µs", names[1], digits=0) for q in ("p50", "p99", "p99.9")}
            for turn in range(context.rounds):
                for one in served:
                    name = one.peer.name
                    rates = {name: half[name]}
                    if half[name] > lowest * 1.02:
                        rates[f"{name}, at the lowest of the rates"] = lowest
                    for label, rate in rates.items():
                        report = context.bench(one, [*questions, "--rate", str(int(rate)), "--poisson", "--seed", str(turn + 1)])
                        run = report["runs"][0]
                        for quantile, table in quantiles.items():
                            table.add(label, run["latency"][quantile])
                            table.note(label, f"{rate:,.0f} a second")
                            table.lose(label, run["loss"])
            quantiles["p50"].unfair = ["Highest rate: closed loop, so that of the load if the load was slower than the server."]
            tables += quantiles.values()
    return tables


ROWS = {"private": private, "tcp": tcp, "cached": cached, "spliced": spliced, "uncached": uncached, "load": load, "record": record, "file": file, "reloads": reloads, "latency": latency}
