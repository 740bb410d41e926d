"""Warnings about a config. A run with it is right, but seldom what was meant."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

_CUTS = ("milestones", "every_epochs", "from_epochs")
"""Something new begins there, so that one at the very end changes no step."""


def doubts(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the warnings about a config, as plain values."""
    yield from _never_reached(config)
    yield from _below_the_target(config)
    yield from _idle(config)


def _idle(config: Mapping[str, Any]) -> Iterator[str]:
    """Warn of keys that change nothing beside others, or less than they seem to: a sweep over them finds no answer."""
    train, schedule = config["train"], config["schedule"]
    if train["tta"] == "none" and train["tta_share"] != 1:
        yield f"train.tta_share: {train['tta_share']:g}: no views are averaged; set train.tta, too"
    if schedule["name"] == "one_cycle" and schedule["interval"] == "epoch" and train["epochs"] <= 1:
        yield "schedule.interval: epoch: the run has one epoch, so one_cycle never rises; set schedule.interval=step"


def _below_the_target(config: Mapping[str, Any]) -> Iterator[str]:
    """Warn where `restore_best` may go back to a network that is below `target_accuracy`."""
    train, stop = config["train"], config["train"]["early_stop"]
    target: float | None = train["target_accuracy"]
    if target is None or not stop["restore_best"]:
        return
    if (monitor := stop["monitor"] or "val/loss") != "val/accuracy":
        how, cure = f"restore_best goes back to the best {monitor}", "monitor=val/accuracy"
    elif stop["mode"] == "min":
        how, cure = "mode=min goes back to the lowest", "mode=max"
    elif stop["min_delta"]:
        how, cure = f"min_delta={stop['min_delta']:g} may go back to one below it", "min_delta=0"
    else:
        return
    yield (
        f"train.target_accuracy: {target:g}: val/accuracy ends the run, but train.early_stop.{how}; set"
        f" train.early_stop.{cure}"
    )


def _never_reached(config: Mapping[str, Any]) -> Iterator[str]:
    """Warn of each key whose epochs are beyond the run's end."""
    train, optimizer = config["train"], config["optimizer"]
    epochs: float = train["epochs"]
    named = {f"schedule.{key}": value for key, value in config["schedule"].items() if _is_length(key)}
    named["augment.side.from_epochs"] = config["augment"]["side"]["from_epochs"]
    named["train.batch_schedule.from_epochs"] = train["batch_schedule"]["from_epochs"]
    named |= {f"optimizer.{group}.end_epoch": optimizer[group]["end_epoch"] for group in ("head", "first_bias")}
    named["optimizer.norm_and_bias_end_epoch"] = optimizer["norm_and_bias_end_epoch"]
    for key, value in named.items():
        cut = key.endswith(_CUTS)
        lengths = cast(
            "Sequence[float]", value if isinstance(value, list | tuple) else [] if value is None else [value]
        )
        late = [f"{length:g}" for length in lengths if length > epochs or (cut and length == epochs)]
        if late:
            yield f"{key}: the run ends after epoch {epochs:g} and never reaches {' and '.join(late)}"
    if (averaged := train["swa"]["epochs"]) > epochs:
        yield f"train.swa.epochs: {averaged} is more than the run's {epochs:g} epochs, so all of them are averaged"


def _is_length(key: str) -> bool:
    return key == "milestones" or key.endswith("epochs")
