"""Confusions, calibration, mistakes: numbers worked out by hand."""

import math

import pytest
import torch

from trainer.inspect.predictions import (
    Predictions,
    as_json,
    calibration,
    class_figures,
    confident_mistakes,
    confusion,
    rates,
    reliability,
)


def predicted(probabilities: list[list[float]], labels: list[int]) -> Predictions:
    return Predictions(torch.tensor(probabilities).log(), torch.tensor(labels))


def test_the_calibration_error_of_a_hand_made_example() -> None:
    confidence = torch.tensor([0.15, 0.18, 0.55, 0.58, 0.95])
    right = torch.tensor([True, False, False, False, True])
    found = reliability(confidence, right, bins=5)
    # (0, .2]: 2 images, sure 0.165, right 1/2;  (.4, .6]: 2, sure 0.565, right 0;  (.8, 1]: 1, sure 0.95, right 1
    assert found.images.tolist() == [2, 0, 2, 0, 1]
    assert found.error == pytest.approx(2 / 5 * 0.335 + 2 / 5 * 0.565 + 1 / 5 * 0.05, rel=1e-6)


def test_perfect_calibration_has_no_error() -> None:
    confidence = torch.tensor([0.75] * 4 + [0.5] * 2 + [1.0])
    right = torch.tensor([True, True, True, False, True, False, True])
    assert reliability(confidence.double(), right).error == 0


def test_a_confidence_on_an_edge_is_in_the_bin_below() -> None:
    found = reliability(torch.tensor([0.2, 0.4, 1.0], dtype=torch.float64), torch.tensor([True] * 3), bins=5)
    assert found.images.tolist() == [1, 1, 0, 0, 1]


def test_rows_of_the_confusion_are_true_classes_and_their_rates_sum_to_one() -> None:
    draw = torch.Generator().manual_seed(0)
    found = Predictions(torch.randn(200, 5, generator=draw), torch.randint(5, (200,), generator=draw))
    counts = confusion(found)
    slow = torch.zeros(5, 5, dtype=torch.int64)
    for label, seen in zip(found.labels.tolist(), found.logits.argmax(1).tolist(), strict=True):
        slow[label, seen] += 1
    assert torch.equal(counts, slow)
    torch.testing.assert_close(rates(counts).sum(1), torch.ones(5, dtype=torch.float64))


def test_precision_recall_and_f1_of_a_hand_made_matrix() -> None:
    figures = class_figures(torch.tensor([[6, 2, 0], [1, 3, 0], [1, 1, 0]]))
    torch.testing.assert_close(figures.recall, torch.tensor([6 / 8, 3 / 4, 0], dtype=torch.float64))
    torch.testing.assert_close(figures.precision[:2], torch.tensor([6 / 8, 3 / 6], dtype=torch.float64))
    assert math.isnan(figures.precision[2])  # nothing was taken for this class
    torch.testing.assert_close(figures.f1, torch.tensor([6 / 8, 2 * 3 / (4 + 6), 0], dtype=torch.float64))


def test_the_most_confident_mistakes_come_first() -> None:
    found = predicted([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], [1, 0, 1, 0])
    assert confident_mistakes(found, 5).tolist() == [0, 3, 1]
    assert confident_mistakes(found, 1).tolist() == [0]


def test_images_without_a_finite_logit_are_counted_and_have_no_confidence() -> None:
    found = Predictions(torch.tensor([[math.nan, math.nan], [3.0, 0.0]]), torch.tensor([1, 0]))
    assert found.not_finite == 1
    assert calibration(found).images.sum() == 1
    assert confident_mistakes(found, 9).tolist() == []
    numbers = as_json(found, ("a", "b"), confident_mistakes(found, 9))
    assert numbers["not_finite"] == 1
    assert numbers["calibration"]["expected_calibration_error"] == pytest.approx(1 - 1 / (1 + math.exp(-3)))


def test_a_network_of_nothing_but_nan_has_no_calibration_error() -> None:
    found = Predictions(torch.full((3, 2), math.nan), torch.tensor([1, 0, 1]))
    assert as_json(found, ("a", "b"), confident_mistakes(found, 9))["calibration"]["expected_calibration_error"] is None
