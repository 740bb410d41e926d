"""results.json with everything that the page shows, and results.csv with one line per readable run."""

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from trainer.report.asked import Measured
from trainer.report.configurations import Configuration
from trainer.report.pages.answer import finding
from trainer.report.pages.guards import guards
from trainer.report.published.comparisons import Comparison
from trainer.report.table import Table
from trainer.runs.groups import decisive
from trainer.statistics.describe import describe
from trainer.statistics.differences import Pair
from trainer.statistics.effects import effect
from trainer.statistics.failures import resolution_of, two_humped
from trainer.text import json_text

MEASURES = ("metric", "headline", "test_acc", "best_test_acc", "train_acc", "best_val_acc", "gap_points",
            "seconds_total", "seconds_per_epoch", "params", "size_mb", "convergence_epochs", "gradient_cosine",
            "lipschitz", "peak_bytes")  # fmt: skip
"""Measures of a run: accuracies in percent, times in seconds, and `metric`, the one that its sweep optimizes."""


def as_json(table: Table) -> dict[str, Any]:
    """Return plain values. No number is NaN or infinite."""
    answer = finding(table)
    grid = resolution_of(value for each in table.configurations for value in each.sample().values())
    return {
        "format": 2,
        "name": table.name,
        "question": table.question,
        "answer": answer.text,
        "certainty": answer.certainty,
        "metric": table.metric,
        "highest_is_best": table.highest,
        "outcome": _measured(table.asked) if table.asked else None,
        "measured": [_measured(each) for each in table.measured],
        "runs_expected": table.expected,
        "points": [_configuration(configuration, table.second_tests, grid) for configuration in table.configurations],
        "top_group": table.top,
        "margin": table.margin,
        "against_best": [asdict(each) | asdict(table.verdicts[each.name]) for each in table.against_best],
        "control": table.control,
        "decided": table.decided and asdict(table.decided),
        "against_control": [
            asdict(each) | asdict(table.verdicts_on_control[each.name]) for each in table.against_control
        ],
        "pairs": [asdict(pair) | {"effect": _effect(table, pair)} for pair in table.pairs],
        "noise_floor": table.floor and asdict(table.floor),
        "guards": [asdict(each) for each in guards(table)],
        "failures": [asdict(each) for each in table.failures],
        "published": [_comparison(each) for each in table.comparisons],
        "published_after_the_authors_code": [_comparison(each) for each in table.authors_comparisons],
        "other_readings": [_comparison(each) for readings in table.readings for each in readings.comparisons],
        "orders": {each.id: (order := table.order(each)) and asdict(order) for each in table.experiments},
        "claims": [
            {
                "of": claim.experiment.id,
                "claim": claim.text,
                "outcome": claim.outcome,
                "marks": list(claim.marks),
                "because": claim.why,
            }
            for claim in table.claims
        ],
        "contradictions": {each.id: list(each.notes) for each in table.experiments},
        "problems": [{**asdict(problem), "where": table.where(problem)} for problem in table.problems],
        "provenance": [{"run": run.name, **run.provenance} for run in table.runs],
    }


def as_json_text(table: Table) -> str:
    return json_text(as_json(table), indent=1, allow_nan=False, default=str) + "\n"


def as_csv(table: Table) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["table", "configuration", "seed", "run", "status", "counts", *MEASURES, *table.second_tests])
    for configuration in table.configurations:
        for run in configuration.runs:
            values = [run.values.get(measure, "") for measure in (*MEASURES, *table.second_tests)]
            lines.writerow([table.name, configuration.label, run.seed, run.name, run.status, True, *values])
    for run in table.unfinished:
        values = [run.values.get(measure, "") for measure in (*MEASURES, *table.second_tests)]
        lines.writerow([table.name, table.label_of(run), run.seed, run.name, run.status, False, *values])
    return text.getvalue()


def _measured(measured: Measured) -> dict[str, Any]:
    """Return an outcome. Ratios are of geometric means; `std` is of log ratios, or of differences."""
    return {
        "name": measured.outcome.name,
        "words": measured.outcome.words,
        "unit": measured.outcome.unit,
        "highest_is_best": measured.highest,
        "scale": measured.scale,
        "by_seed": {label: dict(sample) for label, sample in measured.samples.items()},
        "compared_with": measured.reference,
        "contrasts": {label: asdict(contrast) for label, contrast in measured.contrasts.items()},
    }


def _effect(table: Table, pair: Pair) -> dict[str, float] | None:
    found = effect([*table.scaled[pair.a].values()], [*table.scaled[pair.b].values()])
    return None if found is None else asdict(found)


def _configuration(configuration: Configuration, second_tests: Sequence[str], grid: float) -> dict[str, Any]:
    measured = {measure: configuration.sample(measure) for measure in (*MEASURES, *second_tests)}
    return {
        "label": configuration.label,
        "values": dict(configuration.values),
        "runs": [{"run": run.name, "seed": run.seed, **run.values} for run in configuration.runs],
        "failed": [{"run": run.name, "seed": run.seed, "status": run.status} for run in configuration.failed],
        "two_humped": two_humped(configuration.sample(), resolution=grid),
        "summary": {
            measure: asdict(described)
            for measure, sample in measured.items()
            if (described := describe(list(sample.values()))) is not None
        },
        "config": decisive(configuration.config),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    grade = comparison.answer.grade
    return {
        "of": comparison.answer.experiment.id,
        "row": comparison.answer.name,
        "configuration": comparison.answer.configuration.label if comparison.answer.configuration else None,
        "figure": comparison.figure.name,
        "headline": comparison.headline,
        "printed": comparison.figure.printed,
        "published": comparison.figure.value,
        "unit": comparison.figure.unit,
        "rounding": comparison.figure.rounding,
        "judged": comparison.figure.judged,
        "why_not": comparison.figure.why,
        "ours": comparison.mean,
        "n": len(comparison.sample),
        "one_more_run_within": comparison.interval,
        "verdict": comparison.verdict,
        "verdict_on_best_epoch": comparison.on_best_epoch,
        "marks": list(comparison.marks),
        "at_the_rows_settings": not comparison.answer.differences,
        "differences": list(comparison.answer.differences),
        "grade": grade and grade.kind,
        "chosen_by_us": list(grade.chosen) if grade else [],
        "left_open": [asdict(each) for each in comparison.answer.open],
        "command": shlex.join(["trainer", "train", *comparison.answer.words]) if comparison.answer.words else None,
    }
