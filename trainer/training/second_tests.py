"""Numbers of a network on its second test sets, which nothing is chosen by."""

from collections.abc import Callable, Iterable
from statistics import fmean

from trainer.data.images import Split
from trainer.data.second_tests import CORRUPTIONS, SEVERITIES, SecondTest
from trainer.training.evaluate import Evaluation

PREFIX = "also/"


def measure_second_tests(tests: Iterable[SecondTest], evaluate: Callable[[Split], Evaluation]) -> dict[str, float]:
    """Return `also/NAME/loss` and `also/NAME/accuracy` of each set.

    Of CIFAR-10-C these are means over its 15 corruptions, and there are `also/cifar10-c/CORRUPTION/accuracy` and
    `also/cifar10-c/severity1/error` to 5, the share of mistakes over these corruptions.
    """
    metrics: dict[str, float] = {}
    for test in tests:
        parts = {part: evaluate(split) for part, split in test.splits()}
        prefix = f"{PREFIX}{test.name}/"
        metrics |= _of_corruptions(parts, prefix) if test.corrupted else parts[""].metrics(prefix)
    return metrics


def _of_corruptions(parts: dict[str, Evaluation], prefix: str) -> dict[str, float]:
    standard = [each for name, each in parts.items() if name in CORRUPTIONS]
    means = [each.metrics(prefix) for each in standard]
    metrics = {key: fmean(each[key] for each in means) for key in means[0]}
    metrics |= {f"{prefix}{name}/accuracy": each.accuracy for name, each in parts.items()}
    wrong = [(~each.correct).cpu().double().view(SEVERITIES, -1).mean(1).tolist() for each in standard]  # [15][5]
    by_severity = (fmean(errors) for errors in zip(*wrong, strict=True))
    return metrics | {f"{prefix}severity{number}/error": each for number, each in enumerate(by_severity, start=1)}
