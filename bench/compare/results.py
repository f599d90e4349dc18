"""Numbers of a comparison, and the tables they are shown in."""
import dataclasses, statistics


@dataclasses.dataclass
class Series:
    """One quantity of one server, a value a round; or why there is none."""

    rounds: dict = dataclasses.field(default_factory=dict)      # value by round; one that could not be measured is not there
    note: str = ""
    lost: float = 0                                             # the largest part of the queries of one round that was lost

    @property
    def values(self):
        return list(self.rounds.values())

    @property
    def remarks(self):
        lost = f"lost up to {100 * self.lost:.2f} % in a round" if self.lost >= 0.0001 else ""
        return "; ".join(part for part in (self.note, lost) if part)

    @property
    def median(self):
        return statistics.median(self.values) if self.values else None

    def spread(self, digits):
        if len(self.values) < 2:
            return ""
        return f" ({min(self.values):,.{digits}f}–{max(self.values):,.{digits}f})"


@dataclasses.dataclass
class Table:
    """One row of the comparison: a quantity for every server, and its ratio to one of them."""

    key: str
    title: str
    unit: str
    baseline: str = ""                                          # name of the server that is 1.00
    digits: int = 2
    target: float = None                                        # what Postern is to stay at or below: the ratio where there is one, else the value
    more_is_better: bool = False                                # a rate: the target is the least, and the highest comes first
    series: dict = dataclasses.field(default_factory=dict)      # by server
    unfair: list = dataclasses.field(default_factory=list)

    def add(self, name, value, turn=None):
        rounds = self.series.setdefault(name, Series()).rounds
        rounds[len(rounds) if turn is None else turn] = value

    def note(self, name, text):
        series = self.series.setdefault(name, Series())
        if text not in series.note:
            series.note = f"{series.note}; {text}".strip("; ")

    def lose(self, name, part):
        series = self.series.setdefault(name, Series())
        series.lost = max(series.lost, part)

    def ratios(self, name):
        """Ratio of medians, lowest and highest ratio of one round; None where either has no number."""
        ours, base = self.series[name], self.series.get(self.baseline)
        if not ours.values or base is None or not base.values or not base.median:
            return None
        rounds = [value / base.rounds[turn] for turn, value in ours.rounds.items() if base.rounds.get(turn)]
        return (ours.median / base.median, min(rounds), max(rounds)) if rounds else None

    @property
    def goal(self):
        what = f"× {self.baseline}" if self.baseline else self.unit
        return f"Postern {'≥' if self.more_is_better else '≤'} {self.target:g} {what}"

    def is_met(self, value):
        return value >= self.target if self.more_is_better else value <= self.target

    def best(self, values):
        return max(values) if self.more_is_better else min(values)

    def markdown(self):
        head = ["server", f"{self.unit}, median (spread)"]
        if self.baseline:
            head.append(f"ratio to {self.baseline} (spread of rounds)")
        head.append("remarks")
        lines = [f"#### {self.title}\n", f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 2) + "---|"]
        sign = -1 if self.more_is_better else 1
        for name, series in sorted(self.series.items(), key=lambda item: (item[1].median is None, sign * (item[1].median or 0))):
            value = "–" if series.median is None else f"{series.median:,.{self.digits}f}{series.spread(self.digits)}"
            cells = [name, value]
            if self.baseline:
                found = self.ratios(name)
                cells.append("–" if found is None else f"{found[0]:.2f} ({found[1]:.2f}–{found[2]:.2f})")
            lines.append(f"| {' | '.join([*cells, series.remarks])} |")
        if self.target is not None:
            lines.append(f"\nTarget: {self.goal}.")
        if self.unfair:
            lines.append("\nUnfair: " + " ".join(self.unfair))
        return "\n".join(lines) + "\n"

    def as_json(self):
        servers = {}
        for name, series in self.series.items():
            ratio = self.ratios(name) if self.baseline else None
            servers[name] = {"values": series.values, "median": series.median, "note": series.note, "lost": series.lost}
            if ratio:
                servers[name] |= {"ratio": ratio[0], "ratio_lowest": ratio[1], "ratio_highest": ratio[2]}
        return {"key": self.key, "title": self.title, "unit": self.unit, "baseline": self.baseline, "target": self.target, "more_is_better": self.more_is_better, "servers": servers, "unfair": self.unfair}


@dataclasses.dataclass
class Sheet:
    """Several quantities of each server, side by side."""

    key: str
    title: str
    columns: dict                                               # (heading, digits) by key
    unfair: list = dataclasses.field(default_factory=list)
    servers: dict = dataclasses.field(default_factory=dict)     # {column: Series} by server
    notes: dict = dataclasses.field(default_factory=dict)
    target = None

    def add(self, name, column, value):
        rounds = self.servers.setdefault(name, {}).setdefault(column, Series()).rounds
        rounds[len(rounds)] = value

    def note(self, name, text):
        self.servers.setdefault(name, {})
        self.notes[name] = text

    def markdown(self):
        head = ["server", *(heading for heading, _ in self.columns.values()), "remarks"]
        lines = [f"#### {self.title}\n", "Medians (spread).\n", f"| {' | '.join(head)} |", "|---|" + "---:|" * len(self.columns) + "---|"]
        for name, found in self.servers.items():
            series = [(found.get(column, Series()), digits) for column, (_, digits) in self.columns.items()]
            cells = ["–" if one.median is None else f"{one.median:,.{digits}f}{one.spread(digits)}" for one, digits in series]
            lines.append(f"| {' | '.join([name, *cells, self.notes.get(name, '')])} |")
        if self.unfair:
            lines.append("\nUnfair: " + " ".join(self.unfair))
        return "\n".join(lines) + "\n"

    def as_json(self):
        servers = {name: {column: series.values for column, series in found.items()} | {"note": self.notes.get(name, "")} for name, found in self.servers.items()}
        return {"key": self.key, "title": self.title, "columns": {column: heading for column, (heading, _) in self.columns.items()}, "servers": servers, "unfair": self.unfair}


def summary(tables):
    """Each row with a target: what Postern came to, and the best of the others."""
    lines = ["#### All targets in this run\n", "| work | target | Postern (spread) | met | best of the others |", "|---|---|---:|---|---|"]
    for table in tables:
        if table.target is None:
            continue
        found = {name: (table.ratios(name) or (None,) * 3) if table.baseline else (series.median, min(series.values, default=None), max(series.values, default=None)) for name, series in table.series.items()}
        digits = max(table.digits, 2) if table.baseline else table.digits  # of a ratio, or of the quantity itself
        show = lambda number: "–" if number is None else f"{number:,.{digits}f}"
        ours = found.get("Postern", (None,) * 3)
        others = [(numbers[0], name) for name, numbers in found.items() if numbers[0] is not None and not name.startswith("Postern") and name != "mirror"]
        best = f"{table.best(others)[1]} {show(table.best(others)[0])}" if others else "–"
        value = "–" if ours[0] is None else f"{show(ours[0])} ({show(ours[1])}–{show(ours[2])})"
        met = table.series["Postern"].note or "–" if ours[0] is None else "yes" if table.is_met(ours[0]) else "no"
        lines.append(f"| {table.title} | {table.goal.removeprefix('Postern ')} | {value} | {met} | {best} |")
    return "\n".join(lines) + "\n"
