"""Epochs that a config names beyond its run's end. A run with them is right, but seldom what was meant."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

_CUTS = ("milestones", "every_epochs", "from_epochs")
"""Something new begins there, so that one at the very end changes no step."""


def never_reached(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning for each key of a config, as plain values, whose epochs are beyond the run's end."""
    train, optimizer = config["train"], config["optimizer"]
    epochs: float = train["epochs"]
    named = {f"schedule.{key}": value for key, value in config["schedule"].items() if _is_length(key)}
    named["augment.side.from_epochs"] = config["augment"]["side"]["from_epochs"]
    named["train.batch_schedule.from_epochs"] = train["batch_schedule"]["from_epochs"]
    named |= {f"optimizer.{group}.end_epoch": optimizer[group]["end_epoch"] for group in ("head", "first_bias")}
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
