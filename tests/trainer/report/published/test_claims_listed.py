"""The claims of published.yaml: every conclusion of a report is listed, and every check can be read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from claim_cases import a_point

from trainer.published import Experiment, experiments
from trainer.report.pages.claims import all_claims, as_markdown, in_words
from trainer.report.published.claims import claims_of
from trainer.report.published.comparisons import answers_of
from trainer.sweep.file import read_sweep
from trainer.sweep.points import points_of


def test_no_check_has_a_key_that_nothing_reads() -> None:
    known = {
        "of", "above", "over", "points", "percent", "times", "about", "reaches", "range", "best", "rank", "among",
        "lowest", "measure", "not_here", "more_than", "exceeds", "above_measure", "only",
        "claims",
    }  # fmt: skip
    for experiment in experiments():
        for claim in experiment.claims:
            assert claim.keys() <= {"text", "by", "check"}, experiment.id
            assert {key for part in claim["check"] for key in part} <= known, experiment.id
            if any("claims" in part for part in claim["check"]):
                assert len(claim["check"]) == 1, "a claim that others decide has no other part"


def _named(part: Any) -> list[dict[str, Any]]:
    if not isinstance(part, dict):
        return []
    return [part["ours"]] if "ours" in part else [each for value in part.values() for each in _named(value)]


def test_each_configuration_of_ours_that_a_check_names_is_one_of_its_sweep() -> None:
    named = {
        (experiment.sweep, json.dumps(values))
        for experiment in experiments()
        for claim in experiment.claims
        for part in claim["check"]
        for values in _named(part)
    }
    assert {sweep for sweep, _ in named} == {"lr_scheduler_simp_res9", "combination_vgg", "handmade", "loss_range"}
    for sweep, values in named:
        file = read_sweep(Path(__file__).parents[4] / "sweeps" / f"{sweep}.yaml")
        keys = [key for key in file.varied if key != "seed"]
        assert json.loads(values).keys() == set(keys)
        points = {json.dumps({key: point.values[key] for key in json.loads(values)}) for point in points_of(file)}
        assert values in points, (sweep, values)


def test_every_experiment_has_a_claim_and_every_claim_a_check_in_words(tmp_path: Path) -> None:
    claims = all_claims([])
    assert {claim.experiment.id for claim in claims} == {experiment.id for experiment in experiments()}
    page = as_markdown(claims, beside=tmp_path)
    assert all(in_words(part) for claim in claims for part in claim.check if "not_here" not in part)
    assert all(claim.text in page and (claim.reason_for_none or "") in page for claim in claims)
    assert "| the report | best test accuracy: model=improved_cnn is above each other row |" in page


MAIN = {  # conclusions that a reader takes away, by experiment: words of the claim
    "f2d6-t3-lr-scheduler": "cosine is the best",
    "f2d6-t5-loss": "cross entropy is the best",
    "f2d6-t7-bn-lr": "BatchNorm gains more at high rates",
    "b35c-t1-loss": "cross entropy is the best",
    "b35c-t2-weight-decay": "5e-4 is the best",
    "b35c-t4-optimizer": "SGD is the best",
    "b35c-t5-lr-scheduler": "cosine is the best",
    "b35c-t7-models": "GeResNeXt29_8x64d is the most accurate",
    "b35c-t9-fastresnet9": "FastResNet9 is more accurate than ResNet18",
    "dfbc-t1-cnn-family": "ImprovedCNN is the most accurate",
    "a0b5-s2-baseline": "filters are clearer",
    "a0b5-s3-loss": "focal is the best loss",
    "a0b5-s4-activation": "LeakyReLU is the best",
    "a0b5-s5-optimizer": "SGD is the best",
    "a0b5-s10-combination": "the combination of all has the highest",
}


def test_the_main_conclusions_of_the_reports_are_listed() -> None:
    """Before: 22 of 38 experiments had none, and these were missing."""
    said = {experiment.id: [claim["text"] for claim in experiment.claims] for experiment in experiments()}
    assert not {id: words for id, words in MAIN.items() if not any(words in text for text in said[id])}
    assert any("cat and dog most" in text for texts in said.values() for text in texts)


@pytest.mark.parametrize("experiment", [e for e in experiments() if e.claims], ids=lambda e: e.id)
def test_every_claim_of_the_catalogue_has_a_check_that_can_be_read(experiment: Experiment) -> None:
    """With no runs all are undecided, and with three equal runs a row none fails to be weighed."""
    others = [each for each in experiments() if each.sweep == experiment.sweep]
    empty = answers_of(others, [])
    assert {claim.outcome for claim in claims_of(empty)} == {"undecided"}
    measures = (
        "test_acc",
        "best_test_acc",
        "gap_points",
        "seconds_total",
        "seconds_per_epoch",
        "params",
        "convergence_epochs",
    )
    same = [1.0, 2.0, 3.0]
    points = [a_point(str(n), dict.fromkeys(measures, same), {8: same, 20: same, 25: same}) for n in range(len(empty))]
    filled = [replace(answer, configuration=point, others=()) for answer, point in zip(empty, points, strict=True)]
    assert len([claim for claim in claims_of(filled) if claim.experiment is experiment]) == len(experiment.claims)
