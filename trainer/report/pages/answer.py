"""The answer of a table in a few sentences, and how certain it is."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from trainer.report.configurations import MARKS
from trainer.report.decided import Decided
from trainer.report.pages.lengths import lengths_of, without_cost
from trainer.report.pages.outcome import lead
from trainer.report.pages.sentences import margin_text, mean_of, metric_name, p_value, several, unmeasured_text
from trainer.report.published.comparisons import Comparison
from trainer.report.table import Table
from trainer.runs.bands import RATE
from trainer.runs.outcomes import DECADES
from trainer.statistics.describe import can_be_judged
from trainer.statistics.differences import Pair
from trainer.statistics.power import seeds_needed

Certainty = Literal[
    "significant at the 5% level",
    "decided",
    "undecided after the last seed",
    "seeds until decided",
    "spreads differ",
    "survivors only",
    "incomplete",
    "interim",
    "not significant",
    "identical",
    "too few runs",
    "one configuration",
    "all runs failed",
    "no such number",
    "no runs",
]
_NOTES: dict[Certainty, str] = {
    "significant at the 5% level": "This holds at the 5% level, corrected for all comparisons with the best. If runs"
    " are strongly skewed and of unequal spreads, which few seeds cannot show, it is 11.4% (simulated).",
    "decided": "Seeds were added until this was decided. The sequential test looks after every seed. Of sweeps of"
    " equal configurations it calls a pair different in at most 5%, over all looks and pairs. If runs are strongly"
    " skewed and of unequal spreads, it is 11% (simulated).",
    "undecided after the last seed": "Seeds were added until decided, and these are the last ones. The sequential test,"
    " which looks after every seed, has not decided this.",
    "seeds until decided": "Seeds were added until something else was decided, the metric of the sweep. This test is"
    " for a number of seeds that was fixed before, so here it errs more often than at 5%.",
    "spreads differ": "The difference is significant, but the spreads differ (Bartlett's test). So it holds at 6% in"
    " place of 5% if runs are normal, and at 13% if they are strongly skewed (simulated).",
    "survivors only": "This holds at the 5% level among the runs that trained to their end. Some did not, see below.",
    "incomplete": "This holds at the 5% level for the runs that have the number. What is missing may change it.",
    "interim": "The planned runs are not all there. Who looks at each new seed and stops at the first significant"
    " difference finds a false one in 14% of equal pairs by the tenth, so this is no verdict yet.",
    "not significant": "With these seeds the difference may be due to chance.",
    "identical": "These runs tell nothing apart. What varies between them may have no effect.",
    "too few runs": "A test needs at least three runs of each configuration, and runs that vary.",
    "one configuration": "This is a measurement without a comparison.",
    "all runs failed": "No run that ended has learned anything, so there is nothing to compare.",
    "no such number": "There are runs, but none of them tells what is asked.",
    "no runs": "Nothing has been measured.",
}
_SURE: Certainty = "significant at the 5% level"


@dataclass(frozen=True)
class Finding:
    """The answer in a sentence or two, and how certain it is."""

    text: str
    certainty: Certainty

    @property
    def note(self) -> str:
        return _NOTES[self.certainty]


def finding(table: Table) -> Finding:
    """Return which configuration is best, and whether the difference is significant."""
    return Finding(" ".join(_sentences(table)), _certainty(table))


def _certainty(table: Table) -> Certainty:
    samples = [sample for sample in table.samples.values() if sample]
    if not samples and any(each.runs for each in table.configurations):
        return "no such number"
    if not samples:
        return "all runs failed" if any(each.failed for each in table.configurations) else "no runs"
    if len(samples) == 1:
        return "one configuration"
    decided = table.decided if not table.asked else None
    if not decided and any(each.finding == "undecided" for each in table.against_best):
        return "too few runs"
    if decided and not table.interim and not decided.settles(table.ranked[0], highest=table.highest):
        return "undecided after the last seed"
    if not decided and _rivals(table):
        return "not significant"
    if table.interim:
        return "interim"
    if not decided and len(_equal(table)) == len(samples):
        return "identical"
    if table.empty or table.lost or table.unmeasured:
        return "incomplete"
    counts_them = table.asked is not None and table.asked.outcome.name == DECADES  # the failed runs are the outcome
    pooled = table.asked is not None and table.asked.outcome.over is not None
    owners = [each.siblings if pooled and each.siblings else each for each in table.configurations]
    survivors = any("survivors only" in each.marks for each in owners)
    survivors |= any(each.cut for each in lengths_of(table).values())
    survivors |= any(each.stopped for each in table.configurations)
    if survivors and not counts_them:
        return "survivors only"
    if table.decided:
        return "decided" if decided else "seeds until decided"
    return "spreads differ" if table.spreads_differ else _SURE


def _sentences(table: Table) -> Iterable[str]:
    filled = {label: sample for label, sample in table.samples.items() if sample}
    if not filled:
        yield from _without_samples(table)
        yield from _failed(table)
        yield from _not_counted(table)
        return
    best = table.ranked[0]
    mean = mean_of(table, filled[best])
    metric = metric_name(table)
    equal = [best] if table.decided and not table.asked else _equal(table)
    extreme = "the same" if len(equal) == len(filled) > 1 else "highest" if table.best_is_highest else "lowest"
    leads = f"{metric[:1].upper()}{metric[1:]} is {extreme} for {several(equal)}, {mean}"
    if table.fewer:
        leads = f"Of the points with {len(filled[best])} seeds, {leads[:1].lower()}{leads[1:]}"
    certainty, of_two = _certainty(table), table.asked is not None and len(filled) == 2
    marked = certainty in ("survivors only", "incomplete")
    significant = f"significant, {certainty}" if marked else "significant"
    match certainty:
        case _ if table.asked and of_two:
            yield from lead(table.asked, table.measured, significant=significant, interim=table.interim)
        case "one configuration":
            yield f"{metric[:1].upper()}{metric[1:]} of {best} is {mean}."
            alone = "There is no other configuration" if len(table.configurations) == 1 else "No other one has a result"
            yield f"{alone} to compare it with."
        case "too few runs":
            short = [name for name, sample in filled.items() if not can_be_judged([*sample.values()])]
            have = "has" if len(short) == 1 else "have"
            whether = "Whether it is" if len(equal) == 1 else "Whether they are"
            yield f"{leads}. {whether} the best of all cannot be tested: {several(short)} {have} fewer than"
            yield "three runs, or runs that do not vary."
        case _ if table.decided and not table.asked:
            yield f"{leads}."
            yield from _decisions(table.decided, best, unit=" points" * table.percent)
        case _ if len(table.top) == 1:
            worst = max((each.p or 0.0 for each in table.against_best), default=0.0)
            rest = (
                f"each of the {len(filled) - 1} other configurations" if len(filled) > 2 else "the other configuration"
            )
            p = p_value(worst) if worst < 0.001 else f"at most {worst:.2g}"
            so_far = "So far the" if table.interim else "The"
            yield f"{leads}. {so_far} difference from {rest} is {significant} (p {p})."
        case _:
            yield from _top_group(table, leads, lower=len(filled) - len(table.top))
    yield from without_cost(table)
    if not of_two:
        yield from _control(table) if not table.decided else ()
        yield from _identical(table.pairs)
    yield from _failed(table)
    yield from _not_counted(table)
    yield from _published(table)


def _without_samples(table: Table) -> Iterable[str]:
    """Yield why there is nothing to compare."""
    match _certainty(table):
        case "no such number":
            costs = list(without_cost(table))
            yield f"No configuration has the {'cost' if costs else 'number'} that is asked for."
            yield from costs
        case "all runs failed":
            yield "Every run that ended failed." if table.interim else "Every run failed."
        case _:
            yield "No run of this table has finished, so there is no answer yet."


def _decisions(decided: Decided, best: str, *, unit: str) -> Iterable[str]:
    """Yield what the sequential test has found, of the best one or of all pairs, whichever the question is."""
    until, of_best = decided.until, decided.until.question == "best"
    least = "" if until.at_least == until.at_most else f"{until.at_least} to "
    yield f"Seeds were added until decided, {least}{until.at_most} of each configuration."
    found: dict[str, list[str]] = {}
    for each in decided.about(best):
        one, other = (each.b, each.a) if best == each.b and of_best else (each.a, each.b)
        how = "open" if each.verdict == "open" else "equivalent" if each.verdict == "equivalent" else "lower"
        how = "higher" if how == "lower" and each.higher == one else how
        found.setdefault(how, []).append(other if of_best else f"{one} and {other}")
    if of_best:
        for how in ("higher", "lower"):
            if how in found:
                yield f"The sequential test finds it {how} than {several(found[how])}."
    elif apart := [*found.get("higher", []), *found.get("lower", [])]:
        yield f"The sequential test tells apart {several(apart)}."
    if same := found.get("equivalent"):
        within = f"quivalent within {until.margin or 0:g}{unit}"
        yield f"It is e{within} to {several(same)}." if of_best else f"E{within} are {several(same)}."
    if left := found.get("open"):
        subject = "it" if len(found) > 1 else "the sequential test"
        so_far = f"So far {subject}" if decided.open else subject[0].upper() + subject[1:]
        whether = "whether it differs from" if of_best else "whether these differ:"
        yield f"{so_far} leaves open {whether} {several(left)}."


def _equal(table: Table) -> list[str]:
    """Return the best configuration, and those whose results are identical with its own."""
    return [table.ranked[0], *(each.name for each in table.against_best if each.finding == "identical")]


def _rivals(table: Table) -> list[str]:
    """Return the configurations that may be as good as the best, those with identical results left out."""
    equal = {*_equal(table)}
    return [name for name in table.top if name not in equal]


def _top_group(table: Table, leads: str, *, lower: int) -> Iterable[str]:
    near = _rivals(table)
    differences = "differences from {} are" if len(near) > 1 else "difference from {} is"
    not_yet = "so far not significant" if table.interim else "not significant"
    yield f"{leads}, but the {differences.format(several(near))} {not_yet}." if near else f"{leads}."
    if same := [name for name in near if table.verdicts[name].word == "equivalent"]:
        so_far = "So far it" if table.interim else "It"
        yield f"{so_far} is equivalent within {margin_text(table)} to {several(same)}."
        near = [name for name in near if name not in same]
    if lower:
        rest = "The other configuration is" if lower == 1 else f"The other {lower} configurations are"
        yield f"{rest} not the best, at the 5% level."
    if near and (seeds := _seeds_needed(table)):
        yield "If the measured means and the pooled spread are the true ones, finding it best with 80% power"
        yield f"takes about {seeds} seeds per configuration."


def _seeds_needed(table: Table) -> int | None:
    """Return the runs of each configuration with which the best one would be found, at the means that were measured."""
    best, *twins = _equal(table)
    order = [best, *(name for name, sample in table.samples.items() if sample and name not in {best, *twins})]
    sign = 1 if table.best_is_highest else -1
    means = tuple(sign * fmean(table.scaled[name].values()) for name in order)
    if table.floor is None or len(order) < 2:
        return None
    found = seeds_needed(means, (table.floor.std,) * len(order))
    return found if found and found > min(len(table.samples[name]) for name in order) else None


def _control(table: Table) -> Iterable[str]:
    """Yield which configurations differ from the control that the sweep's file names."""
    better, worse = ("higher", "lower") if table.best_is_highest else ("lower", "higher")
    named = {
        finding: [each.name for each in table.against_control if each.finding == finding] for finding in (better, worse)
    }
    if not table.against_control:
        return
    said = [
        f"{several(names)} {'is' if len(names) == 1 else 'are'} significantly {finding}"
        for finding, names in named.items()
        if names
    ]
    tested = sum(each.finding != "undecided" for each in table.against_control)
    none = "none can be tested yet"
    if tested:
        who = "no configuration" if tested == len(table.against_control) else f"of {tested} that can be tested, none"
        none = f"{who} differs significantly"
    found = " and ".join(said) or none
    begin, end = ("So far, compared", ", interim") if table.interim else ("Compared", "")
    yield f"{begin} with the control, {table.control_words}: {found}{end}."


def _identical(pairs: Sequence[Pair]) -> Iterable[str]:
    same = [pair for pair in pairs if pair.split == "identical"]
    if same:
        names = list(dict.fromkeys(name for pair in same for name in (pair.a, pair.b)))
        yield f"{several(names)} have identical results, seed by seed."


def _failed(table: Table) -> Iterable[str]:
    """Yield which configurations have runs that diverged or stayed at chance, and which train with every seed."""
    bad = [each for each in table.failures if each.failed]
    if not bad:
        if RATE in table.varied and not table.interim and len(table.trained) == len(table.configurations) > 0:
            yield "Every run trained, at each learning rate."
        return
    counts = [f"{each.name} ({each.failed} of {each.n})" for each in bad]
    if table.asked is not None and table.asked.outcome.over_rates:
        yield f"Runs that diverged or stayed at chance: {several(counts)}. A band has them up to their last step."
    else:
        yield f"Runs that diverged or stayed at chance, and are in no mean: {several(counts)}."
    if all_good := table.trained:
        yield f"Every run trained for {several(all_good)}."


def _not_counted(table: Table) -> Iterable[str]:
    if table.empty and len(table.empty) < len(table.configurations):
        have = "has" if len(table.empty) == 1 else "have"
        yield f"Of {len(table.configurations)} configurations, {len(table.empty)} {have} no run yet:"
        yield f"{several(table.empty)}."
    if table.stopped:
        yield f"Every run was stopped early, and none is compared, of {several(table.stopped)}."
    if table.fewer:
        said = several([f"{each.label}, {mean_of(table, each.sample())}" for each in table.fewer])
        yield f"With fewer seeds, and so not compared: {said}."
    if table.unmeasured:
        yield f"{unmeasured_text(table)}."
    if lost := len(table.lost):
        yield "1 run crashed and is not counted." if lost == 1 else f"{lost} runs crashed and are not counted."


def _published(table: Table) -> Iterable[str]:
    heads = [each for each in table.comparisons if each.headline]
    run = [each for each in heads if each.sample]
    changed = sum(bool(each.answer.differences) for each in run)
    if not heads:
        return
    if changed and changed == len(run):
        yield "These runs have other settings than the published rows, so there is no verdict on the published figures."
        return
    if changed:
        one = changed == 1
        yield f"{changed} of {len(heads)} rows {'was' if one else 'were'} run at other settings than the published"
        yield f"ones, so {'it has' if one else 'they have'} no verdict."
    counts = Counter(each.verdict for each in heads if each.reproduced)
    if not counts and run and all(each.figure.judged == "by our definition" for each in heads):
        yield "The report does not define the published figures, so they are compared by our definition."
        return
    if not counts:
        yield "No published figure has a verdict yet, because a verdict needs three runs that vary."
        return
    ours = {"consistent": "consistent with", "higher": "higher than", "lower": "lower than"}
    parts = [f"{phrase} {counts[verdict]}" for verdict, phrase in ours.items() if counts[verdict]]
    have = "has" if counts.total() == 1 else "have"
    yield f"{counts.total()} of {len(heads)} published headline figures {have} a verdict:"
    yield f"our runs are {several(parts)}."
    for mark in MARKS:
        if marked := sum(mark in each.marks for each in heads if each.reproduced):
            yield f"{marked} of these {'is' if marked == 1 else 'are'} {mark}."
    yield from _graded([each for each in heads if each.reproduced])


def _graded(judged: Sequence[Comparison]) -> Iterable[str]:
    """Yield of how many verdicts the settings are not all printed, and who says them instead."""
    kinds = Counter(each.answer.grade.kind for each in judged if each.answer.grade)
    total = f"of {len(judged)} verdict{'s' * (len(judged) != 1)}"
    if count := kinds["chosen by us"]:
        yield f"The settings behind {count} {total} are in part chosen by us, because the report leaves them open."
    if count := kinds["from the authors' public code"]:
        yield f"The settings behind {count} {total} are in part from the authors' public code."
    if count := kinds["close to the authors' public code"]:
        yield f"The settings behind {count} {total} are close to the authors' public code, see Settings."
    if count := kinds["no run behind the figure is known"]:
        yield f"No run is known behind the published figure of {count} {total}."
