"""Model card of a network: what it is, what it reached, how to load it. The header is huggingface_hub's."""

from collections.abc import Iterator

from huggingface_hub import EvalResult, ModelCardData

from trainer.export.network import ExportedNetwork
from trainer.export.seeds import Seeds
from trainer.export.timm import known_to_timm
from trainer.runs.groups import decisive, value_text
from trainer.runs.history import is_finite

_ON_THE_HUB = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}
_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "folder": "a folder of images"}


def card_of(network: ExportedNetwork, seeds: Seeds | None, largest: float) -> str:
    """Return the text of README.md. `largest` is the difference between a logit of the folder's and ours."""
    parts = [
        f"---\n{_header(network)}\n---",
        f"# {network.name}",
        f"`{network.title}` with {_parameters(network):,} parameters, trained on {_data(network)}.",
        *([f"This run {network.unfinished}."] if network.unfinished else []),
        "## Accuracy",
        "\n".join(_accuracy(network)),
        *_over_seeds(network, seeds),
        "## Use it",
        _images(network),
        f"```python\n{_example(network)}\n```",
        f"The logits of these files were compared with those of the trained network on {_checked(network)}. The largest"
        f" difference is {largest:.1e}.",
        "## Settings",
        "\n".join(_settings(network)),
        "Trained and exported by cifar-sweeps. `config.json` has everything that is needed to load the network.",
    ]
    return "\n\n".join(parts) + "\n"


def _header(network: ExportedNetwork) -> str:
    data = network.config.data.name
    result = EvalResult(
        task_type="image-classification",
        task_name="Image Classification",
        dataset_type=_ON_THE_HUB.get(data, data.rpartition("/")[2]),
        dataset_name=_data(network),
        dataset_split="test",
        metric_type="accuracy",
        metric_name=f"Accuracy (one view, {_checked(network)})",
        metric_value=network.accuracy,
    )
    header = ModelCardData(
        model_name=network.name,
        eval_results=[result],
        library_name=None if network.own else "timm",
        pipeline_tag="image-classification",
        datasets=[_ON_THE_HUB[data]] if data in _ON_THE_HUB else None,
        metrics=["accuracy"],
        tags=["image-classification", "cifar-sweeps"],
    )
    return header.to_yaml()


def _data(network: ExportedNetwork) -> str:
    name = network.config.data.name
    return _TITLES.get(name, name.rpartition("/")[2])


def _checked(network: ExportedNetwork) -> str:
    of_all = len(network.image_set.test)
    return (
        f"all {of_all:,} test images" if network.checked == of_all else f"{network.checked:,} of {of_all:,} test images"
    )


def _parameters(network: ExportedNetwork) -> int:
    return sum(each.numel() for each in network.model.parameters())


def _accuracy(network: ExportedNetwork) -> Iterator[str]:
    yield "| what | test accuracy |"
    yield "|---|---:|"
    yield f"| these weights, in float32, one view of each image, {_checked(network)} | {network.accuracy:.2%} |"
    own = network.summary.get("test/accuracy")
    if is_finite(own):
        views = network.config.train.tta
        seen = "one view of each image" if views == "none" else f"mean over views `{views}`"
        when = "last" if network.unfinished else "at its end"
        yield f"| as the run measured it {when}, {seen} | {own:.2%} |"


def _over_seeds(network: ExportedNetwork, seeds: Seeds | None) -> Iterator[str]:
    if network.path.is_file():
        yield (
            f"These are the weights of `{network.path.name}` of one run. What other seeds reached is known of the"
            f" weights that a run ends with: `trainer export {network.name} --to hub-folder` tells it."
        )
        return
    if seeds is None or seeds.sample.n < 2 or seeds.sample.std is None:
        yield f"This is one run. What another seed would reach is not known.{_left_out(seeds)}"
        return
    sample = seeds.sample
    yield (
        f"{sample.n} runs of this configuration differ in their seed alone ({', '.join(map(str, seeds.seeds))}). Their"
        f" test accuracy is {sample.mean:.2f} ± {sample.std:.2f}% (mean and sample standard deviation). The 95%"
        f" interval of the mean is {seeds.interval}%.{_left_out(seeds)}"
    )
    if seeds.verdicts:
        yield "## What its sweep found"
        yield f"In that sweep it is `{seeds.label}`."
        yield "\n".join(f"- {each}" for each in seeds.verdicts)


def _left_out(seeds: Seeds | None) -> str:
    """Return a sentence of the seeds that are in no mean, or nothing."""
    if seeds is None or not seeds.failed:
        return ""
    runs = "1 more run of it is" if seeds.failed == 1 else f"{seeds.failed} more runs of it are"
    return f" {runs} in no mean: diverged, at chance, or stopped early."


def _images(network: ExportedNetwork) -> str:
    channels, height, width = network.input_size
    mean, std = (
        ", ".join(f"{value:.4f}" for value in values) for values in (network.image_set.mean, network.image_set.std)
    )
    return (
        f"The network takes images [N, {channels}, {height}, {width}]: fractions of white, minus the mean of each"
        f" channel ({mean}), divided by its standard deviation ({std})."
    )


def _example(network: ExportedNetwork) -> str:
    channels, height, width = network.input_size
    return "\n".join([
        *_loading(network),
        "",
        f'mean, std = (torch.tensor({_of_config(network)}[key]).view(-1, 1, 1) for key in ("mean", "std"))',
        f"images = torch.rand(1, {channels}, {height}, {width})  # yours: RGB, 0 black and 1 white",
        "with torch.inference_mode():",
        "    probabilities = net((images - mean) / std).softmax(1)",
        f'names = config["{"class_names" if network.own else "label_names"}"]',
        "print({name: round(p, 4) for name, p in zip(names, probabilities[0].tolist())})",
    ])  # fmt: skip


def _of_config(network: ExportedNetwork) -> str:
    return "config" if network.own else 'config["pretrained_cfg"]'


def _loading(network: ExportedNetwork) -> Iterator[str]:
    """Yield the lines that make `net` and `config`."""
    yield "import json"
    yield ""
    if own := network.own:
        yield "import torch"
        yield "from safetensors.torch import load_file"
        yield ""
        yield f"from {network.module} import {own.attribute.partition('.')[0]}"
    else:
        yield "import timm"
        yield "import torch"
        if not known_to_timm(network):
            yield ""
            yield "import models.in_timm  # of cifar-sweeps: timm then builds its networks"
    yield ""
    yield 'folder = "."  # this one'
    yield 'config = json.load(open(f"{folder}/config.json"))'
    if own := network.own:
        yield f"net = {own.attribute}({_call(network)})"
        if (momentum := network.config.model.norm_momentum) is not None:
            yield "for layer in net.modules():"
            yield "    if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):"
            yield f"        layer.momentum = {momentum!r}"
        yield 'net.load_state_dict(load_file(f"{folder}/model.safetensors"))'
        yield "net.eval()"
    else:
        yield 'net = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()'


def _call(network: ExportedNetwork) -> str:
    """Return the arguments with which the trainer builds an own network."""
    return ", ".join(f"{key}={value!r}" for key, value in network.built_with.items())


def _settings(network: ExportedNetwork) -> Iterator[str]:
    config = decisive(network.settings) | {"model.name": network.title}
    yield "| key | value |"
    yield "|---|---|"
    yield f"| `seed` | `{network.config.seed}` |"
    for key, value in config.items():
        shown = value_text(value).replace("|", "\\|")
        yield f"| `{key}` | `{shown}` |"
