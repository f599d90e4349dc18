"""Are Postern's answers those of NSD (its own zones) and of BIND (the splice)? Random questions, compared field by field."""
import contextlib, json, random, re

from results import Table
from running import Running
from servers import Work, start_upstream

ZONE = "corp.contoso.example"
PRIVATE_ZONE = "privatelink.azurehealthcareapis.com"
ALIASES = [("www.contoso.example", "edge.fabrikam.example"), ("fhir.azurehealthcareapis.com", f"fhir.{PRIVATE_ZONE}")]
TYPES = ["A"] * 8 + ["AAAA"] * 4 + ["TXT"] * 2 + ["MX", "SRV", "CNAME", "NS", "SOA", "HTTPS", "CAA", "PTR", "TYPE65280"]

class Text:
    """A zone that is only a file."""

    def __init__(self, directory, name, lines):
        directory.mkdir(parents=True, exist_ok=True)
        self.name, self.file, self.hosts, self.updated = name, directory / f"{name}.zone", "", False
        self.file.write_text("\n".join(lines) + "\n")


def authoritative_zone(directory, dice):
    """Everything that an authoritative server has rules for: wildcards, empty non-terminals, delegations with glue, aliases in chains. Gives the names that matter too."""
    lines = [f"$ORIGIN {ZONE}.", "$TTL 3600", "@ IN SOA ns1 hostmaster 1 3600 600 86400 300", "@ IN NS ns1", "@ IN NS ns2.elsewhere.example.", "ns1 IN A 192.0.2.53", "ns1 IN AAAA 2001:db8::53"]
    lines += ["@ IN A 192.0.2.1", "@ IN MX 10 mail", '@ IN TXT "v=spf1 -all"', "mail IN A 192.0.2.25"]
    names = [ZONE, f"ns1.{ZONE}", f"mail.{ZONE}"]

    def add(owner, *records):
        # One TTL for all: an RRset with several is an error that every server mends in its own way (RFC 2181 section 5.2).
        ttl = dice.choice(["", "60", "7200"])
        lines.extend(f"{owner} {ttl} IN {record}" for record in records)
        names.append(f"{owner}.{ZONE}")

    for number in range(600):
        add(f"host{number}", *{f"A 10.20.{dice.randrange(256)}.{dice.randrange(1, 255)}" for _ in range(dice.choice([1, 1, 1, 2, 4]))})
    for number in range(150):
        add(f"dual{number}", f"A 10.21.0.{number + 1}", f"AAAA 2001:db8:21::{number + 1:x}")
    for number in range(80):
        add(f"text{number}", f'TXT "one {number}" "two"', f"MX 10 host{number}", f"MX 20 mail.elsewhere.example.")
        add(f"_sip._udp.site{number}", f"SRV 10 5 5060 host{number}", "SRV 20 5 5060 pbx.elsewhere.example.")
        add(f"web{number}", f"HTTPS 1 . alpn=h2 ipv4hint=10.22.0.{number + 1}", f'CAA 0 issue "ca{number}.example"', "TYPE65280 \\# 3 010203")
        add(f"{number}.ptr", f"PTR host{number}")
    for number in range(100):
        add(f"alias{number}", f"CNAME host{number}")
        add(f"chain{number}", f"CNAME alias{number}")
        add(f"away{number}", f"CNAME host{number}.elsewhere.example.")
        add(f"lost{number}", f"CNAME missing{number}")
        add(f"towild{number}", f"CNAME any{number}.wild{number % 20}")
        add(f"toent{number}", f"CNAME ent{number % 30}")
        add(f"tosub{number}", f"CNAME www.sub{number % 20}")
    for number in range(20):
        add(f"*.wild{number}", f"A 10.30.0.{number + 1}", f'TXT "wild {number}"')
        add(f"exact.wild{number}", f"A 10.31.0.{number + 1}")
        add(f"a.ent.wild{number}", f"A 10.32.0.{number + 1}")
        add(f"*.wildalias{number}", f"CNAME host{number}")
        add(f"sub{number}", f"NS ns.sub{number}", "NS ns2.elsewhere.example.")
        lines.append(f"ns.sub{number} IN A 192.0.2.{number + 100}")
        names.extend([f"ns.sub{number}.{ZONE}", f"www.sub{number}.{ZONE}", f"deep.er.sub{number}.{ZONE}"])
    for number in range(30):
        add(f"leaf.ent{number}", f"A 10.33.0.{number + 1}")
        names.append(f"ent{number}.{ZONE}")
    return Text(directory, ZONE, lines), names


def authoritative_questions(names, count, dice):
    """Half of the questions ask what exists; the rest what lies beside, below and above it, in any case of letters."""
    for _ in range(count):
        name = dice.choice(names)
        kind = dice.random()
        if kind > 0.95:
            name = f"missing{dice.randrange(10_000)}.{ZONE}"
        elif kind > 0.85:
            name = f"below{dice.randrange(1000)}.{name}"
        elif kind > 0.80:
            name = name.split(".", 1)[1]
        elif kind > 0.78:
            name = f"x{dice.randrange(100)}.y.{name}"
        elif kind > 0.77:
            name = f"*.{name}"
        elif kind > 0.76:
            name = dice.choice(["contoso.example", "fabrikam.example", "x.elsewhere.example", "example", f"not{ZONE}"])
        if dice.random() < 0.2:
            name = "".join(dice.choice([letter.upper(), letter]) for letter in name)
        yield f"{name} {dice.choice(TYPES)}"


def spliced_zone(directory):
    """Half of the names that public aliases lead to."""
    lines = [f"$ORIGIN {PRIVATE_ZONE}.", "$TTL 10", "@ IN SOA ns hostmaster 1 3600 300 2419200 10", "@ IN NS ns", "ns IN A 192.0.2.53"]
    for number in range(0, 1000, 2):
        lines.append(f"ws{number}.fhir IN A 10.20.{number >> 8}.{number & 255}")
        if number % 4 == 0:
            lines.append(f"ws{number}.fhir IN A 10.21.{number >> 8}.{number & 255}")
        if number % 10 == 0:
            lines.append(f"ws{number}.fhir IN AAAA 2001:db8:20::{number:x}")
        if number % 20 == 0:
            lines.append(f'ws{number}.fhir IN TXT "workspace {number}"')
    return Text(directory, PRIVATE_ZONE, lines)


def spliced_questions(count, dice):
    """Aliases that lead home, aliases that lead to names without record, private names asked outright, public names."""
    types = ["A"] * 10 + ["AAAA"] * 5 + ["TXT", "HTTPS", "MX", "CNAME", "SRV"]
    for _ in range(count):
        number, kind = dice.randrange(1000), dice.random()
        if kind < 0.55:
            name = f"ws{number}.fhir.azurehealthcareapis.com"
        elif kind < 0.75:
            name = f"ws{number}.fhir.{PRIVATE_ZONE}"
        elif kind < 0.85:
            name = f"host{number}.www.contoso.example"
        elif kind < 0.95:
            name = f"host{number}.fabrikam.example"
        else:
            name = dice.choice([PRIVATE_ZONE, f"fhir.{PRIVATE_ZONE}", f"ns.{PRIVATE_ZONE}", f"x.ws{number}.fhir.{PRIVATE_ZONE}"])
        if dice.random() < 0.2:
            name = "".join(dice.choice([letter.upper(), letter]) for letter in name)
        yield f"{name} {dice.choice(types)}"


def ask(context, ours, theirs, questions, flags):
    """One run of `postern bench answers`; its verdict."""
    path, report = context.place("questions"), context.directory / "verdict.json"
    path.write_text("\n".join(questions) + "\n")
    report.unlink(missing_ok=True)
    command = [context.program, "bench", "answers", f"127.0.0.1:{ours.port}", "--against", f"127.0.0.1:{theirs.port}", "--query-file", str(path), "--json", str(report), "--quiet", *flags]
    with Running(command, context.directory) as run:
        run.process.wait()
    if not report.exists():
        raise RuntimeError(run.last_words())
    return json.loads(report.read_text())


class Verdict(Table):
    """Differences with their reasons, and those without."""

    failed = False
    text = ""

    def markdown(self):
        return self.text

    def judge(self, against, runs):
        asked = sum(verdict["asked"] for _, verdict in runs)
        equal = sum(verdict["equal"] for _, verdict in runs)
        parts = ", ".join(f"{label}: {verdict['equal']:,} of {verdict['asked']:,}" for label, verdict in runs)
        lines = [f"#### {self.title}\n", f"{asked:,} questions, {equal:,} answers equal in every field ({parts}).\n"]
        explained, unexplained = {}, []
        for label, verdict in runs:
            for group in verdict["groups"]:
                found = next((reason for reason in REASONS[against] if reason.covers(group)), None)
                if found is None:
                    unexplained.append((label, group))
                else:
                    entry = explained.setdefault(found.text, [group["field"], 0, group["examples"][0]])
                    entry[1] += group["count"]
        if explained:
            lines += [f"| field | times | why Postern differs from {against} | example |", "|---|---:|---|---|"]
            for text, (field, times, example) in explained.items():
                lines.append(f"| {field} | {times:,} | {text} | `{example['question']}` |")
            lines.append("")
        for label, group in unexplained:
            self.failed = True
            example = group["examples"][0]
            lines.append(f"UNEXPLAINED, {label}: {group['count']:,} × {group['field']}, `{group['ours']}` against `{group['theirs']}`, such as `{example['question']}`: `{example['ours']}` against `{example['theirs']}`\n")
        self.text = "\n".join(lines)
        self.add("asked", asked)
        self.add("equal", equal)
        self.add("explained", sum(times for _, times, _ in explained.values()))
        self.add("unexplained", sum(group["count"] for _, group in unexplained))


class Reason:
    """A difference that is wanted."""

    def __init__(self, field, ours, theirs, text, question=".*"):
        self.field, self.text = field, text
        self.ours, self.theirs, self.question = re.compile(ours), re.compile(theirs), re.compile(question, re.IGNORECASE)

    def covers(self, group):
        shapes = self.field == group["field"] and self.ours.fullmatch(group["ours"]) and self.theirs.fullmatch(group["theirs"])
        return bool(shapes) and all(self.question.fullmatch(example["question"]) for example in group["examples"])


# Differences that are wanted, with the reason. Whatever none of them covers makes the row fail.
REASONS = {
    "NSD": [
        Reason("additional", r"(A+ \d+(, )?)+", "empty", "Addresses of mail and service hosts of the same zone come along (RFC 1035 section 3.3.9, RFC 2782); NSD leaves them out under `minimal-responses`.", r".* (MX|SRV)"),
    ],
    "Knot DNS": [],
    "BIND": [],
}


def answers(context):
    peers = {peer.name: peer for peer in context.peers}
    wanted = [("NSD", against_authoritative), ("Knot DNS", against_authoritative), ("BIND", against_splice)]
    return [compare(context, peers["Postern"], peers[name]) for name, compare in wanted if name in peers]


def against_authoritative(context, ours, theirs):
    """A zone of its own, nothing else: recursion is off."""
    table = Verdict(f"answers-{theirs.name}", f"{context.questions:,} random questions against {theirs.name} (a zone of its own)", "answers")
    dice = random.Random(context.seed)
    zone, names = authoritative_zone(context.place("zone-answers"), dice)
    parts = [("RD clear, EDNS", ["--no-recursion"]), ("RD set, EDNS", []), ("RD set, no EDNS", ["--no-edns"]), ("RD set, DO", ["--dnssec"]), ("RD clear, TCP", ["--no-recursion", "--over", "tcp"])]
    questions = lambda count: authoritative_questions(names, count, dice)
    table.judge(theirs.name, both(context, [ours, theirs], Work([zone], recursion=False), (f"mail.{ZONE}", "192.0.2.25"), parts, questions))
    return table


def against_splice(context, ours, theirs):
    """A zone of its own, everything else forwarded. Both caches are filled at the same moment, give or take a second of the clock."""
    table = Verdict(f"answers-{theirs.name}", f"{context.questions:,} random questions against {theirs.name} (forwarding and a local zone: the splice)", "answers")
    dice = random.Random(context.seed + 1)
    zone = spliced_zone(context.place("zone-answers-splice"))
    parts = [("EDNS", ["--ttl-slack", "2"]), ("no EDNS", ["--ttl-slack", "2", "--no-edns"])]
    with contextlib.closing(start_upstream(context.program, context.place("upstream-answers"), None, 3600, ALIASES)) as upstream:
        work = Work([zone], upstream=upstream.port)
        table.judge(theirs.name, both(context, [ours, theirs], work, (f"ns.{PRIVATE_ZONE}", "192.0.2.53"), parts, lambda count: spliced_questions(count, dice)))
    return table


def both(context, peers, work, ready, parts, questions):
    """Starts both and asks them each part of the questions; the verdicts."""
    with contextlib.ExitStack() as stack:
        served = []
        for peer in peers:
            one = peer.start(work, context.place(f"answers-{peer.name}"))
            stack.callback(one.end)
            one.wait_until(*ready)
            served.append(one)
        return [(label, ask(context, *served, list(questions(context.questions // len(parts))), flags)) for label, flags in parts]
