"""Numbers of a comparison, and the tables they are shown in."""
import dataclasses, statistics


@dataclasses.dataclass
class Series:
    """One quantity of one server, a value a round; or why there is none."""

    values: list = dataclasses.field(default_factory=list)
    note: str = ""
    lost: float = 0                                             # the largest part of the queries of one round that was lost

    @property
    def remarks(self):
        lost = f"lost up to {100 * self.lost:.2g} % in a round" if self.lost else ""
        return "; ".join(part for part in (self.note, lost) if part)

    @property
    def median(self):
        return statistics.median(self.values) if self.values else None

    def spread(self, digits):
        if len(self.values) < 2:
            return ""
        return f" ({min(self.values):.{digits}f}–{max(self.values):.{digits}f})"


@dataclasses.dataclass
class Table:
    """One row of the comparison: a quantity for every server, and its ratio to one of them."""

    key: str
    title: str
    unit: str
    baseline: str = ""                                          # name of the server that is 1.00
    digits: int = 2
    goal: str = ""                                              # what Postern is to reach
    series: dict = dataclasses.field(default_factory=dict)      # by server
    unfair: list = dataclasses.field(default_factory=list)

    def add(self, name, value):
        self.series.setdefault(name, Series()).values.append(value)

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
        rounds = [one / other for one, other in zip(ours.values, base.values) if other]
        return ours.median / base.median, min(rounds), max(rounds)

    def markdown(self):
        head = ["server", f"{self.unit}, median (spread)"]
        if self.baseline:
            head.append(f"ratio to {self.baseline} (spread of rounds)")
        head.append("remarks")
        goal = f" Goal: {self.goal}." if self.goal else ""
        lines = [f"#### {self.title}\n", f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 2) + "---|"]
        for name, series in sorted(self.series.items(), key=lambda item: (item[1].median is None, item[1].median or 0)):
            value = "–" if series.median is None else f"{series.median:.{self.digits}f}{series.spread(self.digits)}"
            cells = [name, value]
            if self.baseline:
                found = self.ratios(name)
                cells.append("–" if found is None else f"{found[0]:.2f} ({found[1]:.2f}–{found[2]:.2f})")
            lines.append(f"| {' | '.join([*cells, series.remarks])} |")
        if goal:
            lines.append(f"\n{goal.strip()}")
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
        return {"key": self.key, "title": self.title, "unit": self.unit, "baseline": self.baseline, "goal": self.goal, "servers": servers, "unfair": self.unfair}
