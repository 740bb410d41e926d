"""The published tables that the project answers, and the settings of each row as overrides of our config.

`published.yaml` transcribes five course reports, as printed. A report leaves much unsaid. What a row does not give has
our default, except for the amounts in `OUR_READING`, without which the row would ask for nothing.
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
_PLAIN = {  # published setting -> our key, with the same value
    "activation": "model.act",
    "dropout": "model.dropout",
    "bn_eps": "model.norm_eps",
    "bn_momentum": "model.norm_momentum",
    "ghost_bn_batch": "model.ghost_size",
    "lr": "optimizer.lr",
    "momentum": "optimizer.momentum",
    "batch_size": "train.batch_size",
    "epochs": "train.epochs",
    "tta": "train.tta",
}
_MEASURED = ("dataset", "measurement", "gap_steps")
"""Settings that say what a row measures, not how it trains. The data set is always CIFAR-10."""

OUR_READING = {
    "label_smoothing": 0.2,  # b35c table 9: in the code that FastResNet9's derives from
    "label_smoothing_loss": 0.1,  # a0b5 section 3
    "l1": 1e-5,  # a0b5 section 3
    "l2": 1e-4,  # a0b5 section 3
    "val_fraction": 0.1,  # dfbc: monitors validation accuracy, and does not say on which images
    "dropout": 0.5,  # a0b5 section 6, the row with dropout of no printed rate
    "padding": 4,  # f2d6: a random crop of no printed padding
}
_READ_IN_NOT_PRINTED = {  # config key of an override that is our reading -> whether a row's settings leave it to us
    "loss.label_smoothing": lambda said: said.get("label_smoothing") is True or said.get("loss") == "label_smoothing",
    "loss.l1": lambda said: "l1" in said,
    "loss.l2": lambda said: "l2" in said,
    "data.val_fraction": lambda said: "early_stopping" in said,
    "model.dropout": lambda said: "dropout" in said and said["dropout"] is None,
    "augment.crop.padding": lambda said: "random_crop" in (said.get("augmentation") or ()),
    "optimizer.nesterov": lambda said: said.get("optimizer") == "sgd_momentum",
    "optimizer.decay_norm_and_bias": lambda said: bool(said.get("weight_decay")),
}


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table."""

    experiment: str  # id, such as b35c-t5-lr-scheduler
    sweep: str  # the stem of the file in sweeps/ that answers it
    settings: Mapping[str, Any]  # as transcribed; None: not said
    printed: Mapping[str, Any]  # figures by name
    read_otherwise: tuple[str, ...] = ()  # sweeps that set otherwise what the report leaves open


@dataclass(frozen=True)
class Experiment:
    """A table of one of the reports, or a passage with figures."""

    id: str
    sweep: str
    where: str  # the place in the report
    title: str
    decimals: Mapping[str, int]  # printed decimals by figure; YAML does not keep trailing zeros
    rows: tuple[PublishedRow, ...]
    claims: tuple[Mapping[str, Any], ...]  # `text`, and `check`: how runs decide it
    notes: tuple[str, ...]

    @property
    def report(self) -> str:
        """Return the report's short id, four hex digits."""
        return self.id.partition("-")[0]


def own_yaml(text: str) -> Any:
    """Return the values of a file of this package, by libyaml if PyYAML has it: it is six times as fast."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def experiments() -> tuple[Experiment, ...]:
    """Return all experiments, in the reports' order."""
    text = (files("trainer") / "published.yaml").read_text(encoding="utf-8")
    return tuple(
        Experiment(
            experiment["id"],
            experiment["sweep"],
            experiment["where"],
            experiment["title"],
            experiment.get("printed_decimals", {}),
            tuple(
                PublishedRow(
                    experiment["id"],
                    experiment["sweep"],
                    _merged(experiment.get("common", {}), row["set"]),
                    {key: value for key, value in row.items() if key not in ("set", "read_otherwise")},
                    tuple(row.get("read_otherwise", ())),
                )
                for row in experiment["rows"]
            ),
            tuple(experiment.get("claims", ())),
            tuple(experiment.get("notes", ())),
        )
        for experiment in own_yaml(text)["experiments"]
    )


def rows() -> list[PublishedRow]:
    """Return all rows of all experiments in the reports' order, qualitative ones included."""
    return [row for experiment in experiments() for row in experiment.rows]


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    named = own.get("augmentation") == "crop_flip_jitter"  # a name for the list that `common` has
    return {**common, **own} | ({"augmentation": common["augmentation"]} if named else {})


def runs_of(row: PublishedRow) -> list[list[str]]:
    """Return the `KEY=VALUE` overrides of each run of a row, which may bundle several networks and rates."""
    said = {key: value for key, value in row.settings.items() if value is not None and key not in _MEASURED}
    if "dropout" in row.settings:
        said.setdefault("dropout", OUR_READING["dropout"])
    if "layer_order" in said:  # tried in both of the report's networks
        said.setdefault("model", ["mlp", "cnn"])
    bundled = {key: said[key] for key in ("model", "lr") if isinstance(said.get(key), list)}
    runs = [{**said, **dict(zip(bundled, values, strict=True))} for values in product(*bundled.values())]
    return [[override for key, value in run.items() for override in _overrides(key, value, run)] for run in runs]


def printed_keys(row: PublishedRow) -> set[str]:
    """Return the config keys whose value is the report's own, in the first run of a row."""
    keys = {override.partition("=")[0] for override in runs_of(row)[0]}
    return {key for key in keys if not (key in _READ_IN_NOT_PRINTED and _READ_IN_NOT_PRINTED[key](row.settings))}


def _overrides(key: str, value: Any, said: Mapping[str, Any]) -> Iterator[str]:
    """Yield one setting as overrides. Raises ValueError for a setting that has none."""
    if key in _PLAIN:
        yield f"{_PLAIN[key]}={value}"
        return
    match key:
        case "model":
            yield f"model.name={_MODELS.get(value, value)}"
        case "stem":
            if said["model"] in ("res9", "simp_res9"):  # Res18 has the 3x3 stem and no other
                yield f"model.stem={[int(kernel.partition('x')[0]) for kernel in value]}"
        case "drop_rate" if value:
            yield f"model.dropout={value}"
        case "batch_norm" | "layer_order" | "drop_rate":
            yield f"model.order={_order(said)}"
        case "block_order":
            yield f"model.pool_first={value == 'conv-pool-bn-act'}"
        case "optimizer":
            yield f"optimizer.name={'sgd' if value == 'sgd_momentum' else value}"
            if value == "sgd_momentum":  # our reading: the sgd row beside it has momentum already
                yield "optimizer.nesterov=True"
        case "weight_decay":
            yield f"optimizer.weight_decay={value}"
            if value:
                yield "optimizer.decay_norm_and_bias=True"  # as torch's own weight_decay does
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
        case _:
            raise ValueError(f"published.yaml: no config key says {key!r}")


def _order(said: Mapping[str, Any]) -> list[str]:
    order = [str(_ORDERS.get(layer, layer)) for layer in said.get("layer_order", ["linear", "bn", "relu", "dropout"])]
    left_out = [layer for layer, key in (("norm", "batch_norm"), ("dropout", "drop_rate")) if not said.get(key, True)]
    return [layer for layer in order if layer not in left_out]


def _augmentation(value: Any) -> Iterator[str]:
    """Yield the overrides of a list of transforms, or of "none". A transform that is not listed is off."""
    listed = [] if value == "none" else value
    names = [next(iter(each)) if isinstance(each, dict) else each for each in listed]
    crops = any(name.startswith("random_crop") for name in names)  # a padding that is printed is 4, too
    yield f"augment.crop.padding={OUR_READING['padding'] if crops else 0}"
    flips = any(name.startswith(("random_flip", "random_hflip")) for name in names)
    yield f"augment.flip.mode={'random' if flips else 'none'}"
    if "random_erasing" in names:
        yield "augment.erasing.name=random"
    for each in listed:
        if isinstance(each, dict):
            yield from (f"augment.color_jitter.{knob}={size}" for knob, size in each["color_jitter"].items())
