"""What a report tabulates, as plain text in cells: the page and the Markdown show the same grids."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from trainer.published import Experiment
from trainer.report.configurations import Configuration
from trainer.report.pages.sentences import chance, digits_of, interval, metric_name, of_mean, verdict_of
from trainer.report.published.comparisons import Comparison
from trainer.report.tables import Table
from trainer.runs.groups import decisive, value_text
from trainer.statistics import Pair
from trainer.text import NONE, number, spread

MOST_PAIRS = 36
"""Pairs that are shown, those of nine configurations; of more, those with the best."""


@dataclass(frozen=True)
class Grid:
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # the first cell of each names it
    text: tuple[int, ...] = (0,)  # columns of words; the others are numbers


def configurations(table: Table) -> Grid:
    """Every configuration, the best first, those without runs last."""
    digits = digits_of(table)
    lasts = {configuration.label: configuration.sample("test_acc") for configuration in table.configurations}
    bests = {configuration.label: configuration.sample("best_test_acc") for configuration in table.configurations}
    chosen = any(bests[label] and bests[label] != lasts[label] for label in lasts)
    header = ["configuration", metric_name(table, unit=True), "95% interval of the mean", "top group"]
    if table.metric != "test/accuracy":
        header.append("test accuracy, last epoch (%)")
    if chosen:
        header += ["best epoch's, chosen on the test set (%)", "gain of that choice (points)"]
    header += ["training accuracy (%)", "training time (s)", "parameters (million)"]
    rows: list[tuple[str, ...]] = []
    for configuration in _ranked(table):
        sample, last, best = configuration.sample(), lasts[configuration.label], bests[configuration.label]
        cells = [configuration.label, spread(sample.values(), digits=digits), of_mean(sample, digits=digits)]
        cells.append("yes" if configuration.label in table.top else "no" if sample else NONE)
        if table.metric != "test/accuracy":
            cells.append(spread(last.values()))
        if chosen:
            gains = [best[seed] - last[seed] for seed in best.keys() & last.keys()]
            cells += [spread(best.values()), f"{fmean(gains):+.2f}" if gains else NONE]
        params = configuration.sample("params")
        cells.append(spread(configuration.sample("train_acc").values()))
        cells.append(spread(configuration.sample("seconds_total").values(), digits=0))
        cells.append(number(fmean(params.values()) / 1e6) if params else NONE)
        rows.append(tuple(cells))
    return Grid("Every configuration: mean ± sample standard deviation", tuple(header), tuple(rows), (0, 3))


def _ranked(table: Table) -> list[Configuration]:
    means = {label: fmean(sample.values()) for label, sample in table.samples.items() if sample}
    sign = -1 if table.highest else 1
    return sorted(
        table.configurations,
        key=lambda each: (each.label not in means, sign * means.get(each.label, 0.0)),
    )


def published(table: Table, experiment: Experiment, *, headlines: bool) -> Grid:
    """The rows of a published table beside ours; its headline figures, or all others."""
    chosen = [each for each in table.comparisons if each.answer.experiment is experiment and each.headline == headlines]
    header = ["row", "published", "ours", "one more run would lie within", "verdict on ours"]
    if not headlines:
        header.insert(1, "figure")
    rows = tuple(_compared(each, headlines) for each in chosen)
    what = experiment.title if headlines else f"{experiment.title}: the other figures"
    words = (0, 4) if headlines else (0, 1, 5)
    return Grid(f"{what} (report {experiment.report}, {experiment.where})", tuple(header), rows, words)


def _compared(each: Comparison, headlines: bool) -> tuple[str, ...]:
    figure, answer = each.figure, each.answer
    digits = 0 if figure.measure in ("params", "seconds_total") else 2
    unit = f" {figure.unit}" if figure.unit not in ("", "%", "points") else ""
    name = answer.name if not headlines or figure.name == "test accuracy" else f"{answer.name}, {figure.name}"
    ours = spread(each.sample.values(), digits=digits, unit=unit)
    cells = [f"{figure.printed}{unit}", ours, interval(each.interval, digits=digits), verdict_of(each)]
    return (name, *([] if headlines else [figure.name]), *cells)


def pairs(table: Table) -> Grid:
    """Differences with their corrected p-values; where there are very many, those of the best."""
    found: Sequence[Pair] = table.pairs
    caption = "Every pair, by Welch's test; p corrected for all pairs of the table after Holm"
    if len(found) > MOST_PAIRS and table.top:
        found = [pair for pair in found if table.top[0] in (pair.a, pair.b)]
        caption = f"{table.top[0]} against each other, by Welch's test; p corrected for all {len(table.pairs)} pairs"
    digits = digits_of(table)
    header = (
        "pair",
        "difference",
        "95% interval, this pair alone",
        "p (Holm)",
        "finding",
        "paired by seed (uncorrected, decides nothing)",
        "seeds for 80% power, corrected",
    )
    rows = tuple(
        (
            f"{pair.a} − {pair.b}",  # noqa: RUF001 - a minus sign
            f"{pair.difference.mean:+.{digits}f}",
            interval((pair.difference.low, pair.difference.high), digits=digits),
            chance(pair.p_holm),
            "the first is " + pair.split if pair.split in ("higher", "lower") else pair.split,
            NONE if pair.paired is None else interval((pair.paired.low, pair.paired.high), digits=digits),
            NONE if pair.seeds_needed is None else str(pair.seeds_needed),
        )
        for pair in found
    )
    return Grid(caption, header, rows, (0, 4))


def claims(table: Table) -> Grid:
    rows = tuple((claim.text, claim.outcome, claim.why, claim.experiment.id) for claim in table.claims)
    return Grid("What the report says, against our runs", ("claim", "outcome", "because", "of"), rows, (0, 1, 2, 3))


def by_eye(table: Table) -> Grid:
    """Statements without a figure: a person's to judge."""
    rows = tuple(
        (answer.name, str(answer.row.printed["qualitative"]), answer.experiment.id)
        for answer in table.answers
        if "qualitative" in answer.row.printed
    )
    return Grid("What the report describes without a figure; for a reader to judge", ("row", "said", "of"), rows,
                (0, 1, 2))  # fmt: skip


def departures(table: Table) -> Grid:
    """Where ours are not the published settings, and what the report leaves open; each once, with the rows it is of."""
    found: dict[tuple[str, str], list[str]] = {}
    for answer in table.answers:
        for text in answer.differences:
            found.setdefault((text, "differs"), []).append(answer.name)
        for text in answer.unsaid:
            found.setdefault((text, "not said by the report; ours"), []).append(answer.name)
    for each in table.comparisons:
        if each.figure.why and each.figure.judged == "by runs":
            found.setdefault((each.figure.name, each.figure.why), []).append(each.answer.name)
    total = len(table.answers)
    rows = tuple(
        (text, kind, "all" if len(names) == total else ", ".join(names)) for (text, kind), names in found.items()
    )
    return Grid("Settings beside the published ones", ("setting", "what of it", "rows"), rows, (0, 1, 2))


def settings(table: Table) -> Grid:
    """Every key of the config, with its value or values."""
    configs = [decisive(configuration.config) for configuration in table.configurations if configuration.runs]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    rows = tuple(
        (key, " | ".join(dict.fromkeys(value_text(config[key]) for config in configs if key in config))) for key in keys
    )
    return Grid("Every setting; several values are those of different configurations", ("key", "value"), rows, (0, 1))


def problems(table: Table) -> Grid:
    here = f"{table.folder}/"  # whose machine it was is no reader's business
    rows = tuple((problem.where.removeprefix(here), problem.kind, problem.message) for problem in table.problems)
    return Grid("What is missing or does not count", ("run or configuration", "what", "why"), rows, (0, 1, 2))


def provenance(table: Table) -> Grid:
    """Each kind of machine and code that the runs came from, with how many."""
    runs = [run.provenance for run in table.runs]
    seconds = sum(run.values.get("seconds_total", 0.0) for run in table.runs)
    dates = sorted(str(found) for each in runs for key in ("started", "ended") if (found := each.get(key)))
    rows: list[tuple[str, str]] = [
        (
            "runs",
            f"{len(table.runs)}, of them {sum(len(each.runs) for each in table.configurations)} that count",
        ),
        ("training time, all runs", f"{seconds / 3600:.2f} h"),
        ("from, to", f"{dates[0]}, {dates[-1]}" if dates else NONE),
        ("revision", _counted(_revision(each.get("git")) for each in runs)),
        ("device", _counted(str(each.get("device", "not said")) for each in runs)),
        ("precision", _counted(str(each.get("precision", "not said")) for each in runs)),
        ("system", _counted(_within(each.get("machine"), "system") for each in runs)),
        ("Python", _counted(str(each.get("python", "not said")) for each in runs)),
    ]
    packages = list(dict.fromkeys(name for each in runs for name in _mapping(each.get("versions"))))
    rows += [(name, _counted(_within(each.get("versions"), name) for each in runs)) for name in packages]
    return Grid("Where the runs come from", ("what", "value"), tuple(rows), (0, 1))


def _counted(values: Iterable[str]) -> str:
    """`a` where all are; `a (3), b (1)`."""
    counts = Counter(values)
    return next(iter(counts), NONE) if len(counts) < 2 else ", ".join(f"{v} ({n})" for v, n in counts.most_common())


def _revision(git: Any) -> str:
    found = _mapping(git)
    revision = str(found.get("revision", "not said"))[:12]
    return f"{revision} with changes" if found.get("dirty") else revision


def _within(content: Any, key: str) -> str:
    return str(_mapping(content).get(key, "not said"))


def _mapping(content: Any) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}
