"""The published tables that the project answers, and the settings of each row in the words of our configs.

`published.yaml` transcribes five course reports, as printed. A report leaves much unsaid: what a row does not give
stays at our default, except for the amounts in `OUR_READING`, without which the row would ask for nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

import yaml

_MODELS = {"res18": "resnet18", "mlp": "handmade_mlp", "cnn": "handmade_cnn"}
_ORDERS = {"bn": "norm", "relu": "act"}
_MEASURED = ("dataset", "measurement", "gap_steps")  # what a row measures, not how it trains; the data is CIFAR-10

OUR_READING = {
    "label_smoothing": 0.2,  # b35c table 9: in the code that FastResNet9's derives from
    "label_smoothing_loss": 0.1,  # a0b5 section 3
    "l1": 1e-5,  # a0b5 section 3
    "l2": 1e-4,  # a0b5 section 3
    "val_fraction": 0.1,  # dfbc: monitors validation accuracy, and does not say on which images
    "dropout": 0.5,  # a0b5 section 6, the row with dropout of no printed rate
}


@dataclass(frozen=True)
class PublishedRow:
    """One line of a published table."""

    experiment: str  # id, such as b35c-t5-lr-scheduler
    sweep: str  # that answers it: the stem of a file in sweeps/
    settings: Mapping[str, Any]  # as transcribed; null: not said
    printed: Mapping[str, Any]  # the figures


@dataclass(frozen=True)
class Experiment:
    """A table, or a passage with figures, of one of the reports."""

    id: str
    sweep: str
    where: str  # in the report
    title: str
    decimals: Mapping[str, int]  # that a figure is printed with; YAML does not keep its zeros
    rows: tuple[PublishedRow, ...]
    claims: tuple[Mapping[str, Any], ...]  # `text`, and `check`: how runs can decide it
    notes: tuple[str, ...]

    @property
    def report(self) -> str:
        """Four hex digits, as in the ids."""
        return self.id.partition("-")[0]


@cache
def experiments() -> tuple[Experiment, ...]:
    """All of them, in the reports' order."""
    text = (files("trainer") / "published.yaml").read_text(encoding="utf-8")
    return tuple(
        Experiment(
            each["id"],
            each["sweep"],
            each["where"],
            each["title"],
            each.get("printed_decimals", {}),
            tuple(
                PublishedRow(
                    each["id"],
                    each["sweep"],
                    _merged(each.get("common", {}), row["set"]),
                    {key: value for key, value in row.items() if key != "set"},
                )
                for row in each["rows"]
            ),
            tuple(each.get("claims", ())),
            tuple(each.get("notes", ())),
        )
        for each in yaml.safe_load(text)["experiments"]
    )


def rows() -> list[PublishedRow]:
    """All rows of all experiments, qualitative ones included, in the reports' order."""
    return [row for experiment in experiments() for row in experiment.rows]


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    named = own.get("augmentation") == "crop_flip_jitter"  # a name for the list that `common` has
    return {**common, **own} | ({"augmentation": common["augmentation"]} if named else {})


def runs_of(row: PublishedRow) -> list[list[str]]:
    """The `KEY=VALUE` words of each run that a row asks for: one, or one for each network and rate that it bundles."""
    said = {key: value for key, value in row.settings.items() if value is not None and key not in _MEASURED}
    if "dropout" in row.settings:
        said.setdefault("dropout", OUR_READING["dropout"])
    if "layer_order" in said:  # tried in both of the report's networks
        said.setdefault("model", ["mlp", "cnn"])
    bundled = {key: said[key] for key in ("model", "lr") if isinstance(said.get(key), list)}
    runs = [{**said, **dict(zip(bundled, values, strict=True))} for values in product(*bundled.values())]
    return [[word for key, value in run.items() for word in _words(key, value, run)] for run in runs]


def _words(key: str, value: Any, said: Mapping[str, Any]) -> Iterator[str]:
    """One setting in our words. Raises ValueError for one that has none."""
    match key:
        case "model":
            yield f"model.name={_MODELS.get(value, value)}"
        case "activation":
            yield f"model.act={value}"
        case "stem":
            if said["model"] in ("res9", "simp_res9"):  # Res18 has the 3x3 stem and no other
                yield f"model.stem={[int(kernel.partition('x')[0]) for kernel in value]}"
        case "dropout":
            yield f"model.dropout={value}"
        case "drop_rate" if value:
            yield f"model.dropout={value}"
        case "batch_norm" | "layer_order" | "drop_rate":
            yield f"model.order={_order(said)}"
        case "bn_eps":
            yield f"model.norm_eps={value}"
        case "bn_momentum":
            yield f"model.norm_momentum={value}"
        case "block_order":
            yield f"model.pool_first={value == 'conv-pool-bn-act'}"
        case "ghost_bn_batch":
            yield f"model.ghost_size={value}"
        case "optimizer":
            yield f"optimizer.name={'sgd' if value == 'sgd_momentum' else value}"
            if value == "sgd_momentum":  # our reading: the sgd row beside it has momentum already
                yield "optimizer.nesterov=True"
        case "lr":
            yield f"optimizer.lr={value}"
        case "momentum":
            yield f"optimizer.momentum={value}"
        case "weight_decay":
            yield f"optimizer.weight_decay={value}"
            if value:
                yield "optimizer.decay_norm_and_bias=True"  # torch's own meaning of the word
        case "batch_size" | "epochs":
            yield f"train.{key}={value}"
        case "scheduler":
            yield f"schedule.name={'constant' if value == 'none' else value}"
        case "scheduler_args":
            yield from (f"schedule.{knob}={value[knob]}" for knob in ("factor", "patience", "cooldown"))
            if said.get("lr"):
                yield f"schedule.min_factor={value['min_lr'] / said['lr']:g}"
        case "loss":
            yield f"loss.name={'cross_entropy' if value == 'label_smoothing' else value}"
            if value == "label_smoothing":
                yield f"loss.label_smoothing={OUR_READING['label_smoothing_loss']}"
        case "label_smoothing":
            yield f"loss.label_smoothing={OUR_READING[key] if value is True else value}"
        case "l1" | "l2":
            yield f"loss.{key}={OUR_READING[key]}"
        case "augmentation":
            yield from _augmentation(value)
        case "normalize":
            yield from (f"data.{moment}={value[moment]}" for moment in ("mean", "std"))
        case "early_stopping":
            yield f"train.early_stop.monitor={value['monitor'].replace('_acc', '/accuracy')}"
            yield f"train.early_stop.patience={value['patience']}"
            yield f"data.val_fraction={OUR_READING['val_fraction']}"
        case "tta":
            yield f"train.tta={value}"
        case _:
            raise ValueError(f"published.yaml: no config key says {key!r}")


def _order(said: Mapping[str, Any]) -> list[str]:
    order = [str(_ORDERS.get(word, word)) for word in said.get("layer_order", ["linear", "bn", "relu", "dropout"])]
    left_out = [word for word, key in (("norm", "batch_norm"), ("dropout", "drop_rate")) if not said.get(key, True)]
    return [word for word in order if word not in left_out]


def _augmentation(value: Any) -> Iterator[str]:
    """Of a list of transforms, or "none"; what is not listed is off."""
    listed = [] if value == "none" else value
    names = [next(iter(each)) if isinstance(each, dict) else each for each in listed]
    yield f"augment.crop.padding={4 if any(name.startswith('random_crop') for name in names) else 0}"
    flips = any(name.startswith(("random_flip", "random_hflip")) for name in names)
    yield f"augment.flip.mode={'random' if flips else 'none'}"
    if "random_erasing" in names:
        yield "augment.erasing.name=random"
    for each in listed:
        if isinstance(each, dict):
            yield from (f"augment.color_jitter.{knob}={size}" for knob, size in each["color_jitter"].items())
