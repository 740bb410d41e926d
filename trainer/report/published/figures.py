"""Figures of a published row in our units, each with the measure of a run that it is compared with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from trainer.published import Experiment, PublishedRow
from trainer.report.configurations import FAILED
from trainer.runs.outcomes import DECADES
from trainer.statistics.describe import rounding_of

Judged = Literal["by runs", "by our definition", "exactly", "not at all"]
"""Comparison with a figure: by the prediction interval, by the same but of a measure that the report does not define
(`why`), exactly (a count, the same in every run), or none (`why`)."""


@dataclass(frozen=True)
class Figure:
    name: str  # such as `test accuracy` or `test accuracy, epoch 25`
    printed: str  # as the report has it, zeros included
    value: float  # in `unit`
    rounding: float  # half a unit of the last decimal
    unit: str
    measure: str  # of a run: `Run.measure`
    judged: Judged
    why: str = ""  # why it is not judged, or our definition of it
    bound: bool = False  # printed as "above": runs above it agree with it

    @property
    def digits(self) -> int | None:
        """The decimals of our runs beside it, None for as many as they need: a cosine varies in its third one."""
        if self.measure in ("params", "seconds_total"):
            return 0
        return 2 if self.unit else None


ACCURACIES = {
    "test_acc": "test accuracy",
    "best_test_acc": "best test accuracy",
    "train_acc": "train accuracy",
    "best_val_acc": "best validation accuracy",
    "gap_points": "train minus test accuracy",
}
_OTHERS: dict[str, tuple[str, str, Judged, str]] = {
    "params": ("parameters", "", "exactly", ""),
    "size_mb": ("size of the weights", "MiB", "not at all", "computed as four bytes per parameter, without buffers"),
    "seconds_total": ("training time", "s", "not at all", "the report does not name its hardware"),
    "seconds_per_epoch": ("time per epoch", "s", "not at all", "the report does not name its hardware"),
    "convergence_epochs": (
        "epochs to convergence",
        "epochs",
        "by our definition",
        "our definition, because no report has one: the first epoch with a test accuracy within a point of the best",
    ),
    "peak_bytes": (
        "peak memory",
        "bytes",
        "by our definition",
        "our definition, because the report does not say which memory it measured, nor on which device: tensors on a"
        " GPU, and on a CPU the whole process with its data set",
    ),
    FAILED: (
        "share of runs that fail",
        "",
        "by our definition",
        "our definition, because the report does not say what unstable is: diverged, or at chance at the end",
    ),
    "gradient_cosine": ("cosine of successive gradients", "", "by runs", ""),
    "lipschitz": (
        "largest gradient difference over distance",
        "",
        "by our definition",
        "our definition, because a maximum over a run grows with the number of measurements, which no report gives",
    ),
}


_OURS = {  # beginning or end of an outcome's name -> our definition of it, because no report has one
    "@early": "our definition, because the report does not say how long early is: the first fifth of the steps",
    "@late": "our definition, because the report does not say when late begins: the last fifth of the steps",
    "/range": "our definition, because the report has none: the highest loss of any step and rate minus the lowest",
    "lipschitz/max": _OTHERS["lipschitz"][3],
    DECADES: "our definition, because the report has none: the widest stretch of rates at which every run trains",
}


def judged_how(measure: str) -> tuple[Judged, str]:
    """Return how a measure is compared with printed figures, and why it is not, or our definition of it."""
    if "/" in measure:  # an outcome
        why = next((said for name, said in _OURS.items() if measure.endswith(name)), "")
        return "by our definition" if why else "by runs", why
    _, _, judged, why = _OTHERS.get(measure, ("", "", "by runs", ""))
    return judged, why


def measure_name(measure: str) -> str:
    """Return a measure of a run in words, such as `test accuracy, epoch 25`."""
    match measure.split():
        case ["test_acc_at", epoch]:
            return f"test accuracy, epoch {epoch}"
        case ["excess_confusion", one, other]:
            return f"images of {one} and {other} taken for each other, minus those of the most confused other pair"
        case _:
            return ACCURACIES[measure] if measure in ACCURACIES else _OTHERS[measure][0]


def figures(row: PublishedRow, experiment: Experiment) -> list[Figure]:
    """Return the figures, the headline first: a test accuracy if the row has one.

    Errors become accuracies and fractions become percentages.
    """
    return sorted(_figures(row, experiment), key=_rank)


def _rank(figure: Figure) -> tuple[int, float]:
    first = ["test_acc", "best_test_acc", "test_acc_at"]
    name, _, epoch = figure.measure.partition(" ")
    return (first.index(name) if name in first else len(first), -float(epoch or 0))


def _figures(row: PublishedRow, experiment: Experiment) -> Iterator[Figure]:
    about, bounds = bool(row.printed.get("approx")), row.printed.get("above", ())

    def figure(
        key: str, name: str, printed: float, unit: str, measure: str, judged: Judged = "by runs", why: str = ""
    ) -> Figure:
        bound = key in bounds
        decimals = experiment.decimals.get("test_acc" if key == "test_acc_at" else key, _decimals(printed))
        text = f"{'above ' if bound else 'about ' if about else ''}{printed:.{decimals}f}{'%' if unit == '%' else ''}"
        rounding = rounding_of(decimals, about=printed if about and not bound else None)
        return Figure(name, text, printed, rounding, unit, measure, judged, why, bound)

    for key, printed in row.printed.items():
        if key in ACCURACIES:
            yield figure(key, ACCURACIES[key], printed, "points" if key == "gap_points" else "%", key)
        elif key in _OTHERS:
            name, unit, judged, why = _OTHERS[key]
            yield figure(key, name, printed, unit, key, judged, why)
        elif key == "test_error":
            error = figure(key, "test accuracy", printed, "%", "test_acc")
            accuracy = f"{100 - printed:.{experiment.decimals.get(key, 2)}f}%"
            yield replace(error, printed=f"{accuracy} (error {error.printed})", value=100 - printed)
        elif key == "best_test_acc_fraction":
            share = figure(key, "best test accuracy", printed, "", "best_test_acc")
            text = f"{100 * printed:.0f}% (fraction {share.printed})"
            yield replace(share, printed=text, value=100 * printed, rounding=100 * share.rounding, unit="%")
        elif key == "params_m":
            count = figure(key, "parameters", printed, "", "params", "exactly")
            yield replace(count, printed=f"{count.printed} million", value=1e6 * printed, rounding=1e6 * count.rounding)
        elif key == "test_acc_at":
            at: Mapping[int, float] = printed
            for epoch, accuracy in at.items():
                yield figure(key, f"test accuracy, epoch {epoch}", accuracy, "%", f"test_acc_at {epoch}")
        elif key == "loss_range":
            low, high = printed
            rounding = rounding_of(_decimals(low)) + rounding_of(_decimals(high))
            how = ("runs/loss/range", *judged_how("runs/loss/range"))
            yield Figure("range of the loss", f"{low} to {high}", high - low, rounding, "", *how)


def _decimals(printed: float) -> int:
    return len(str(printed).partition(".")[2]) if isinstance(printed, float) else 0
