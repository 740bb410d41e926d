"""Names that timm knows, from timm.json, which `make docs` makes with the pinned version. Another version is asked."""

import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from trainer.config.explain import did_you_mean
from trainer.errors import ConfigError

TIMM_TABLE = Path(__file__).with_name("timm.json")


def timm_networks() -> list[str]:
    """Return the architectures, without `timm/`."""
    return _names()["networks"]


def refuse_unknown_optimizer(name: str) -> None:
    """Raise ConfigError for `timm/NAME` if timm has no such optimizer, or one that the training loop cannot use."""
    word, known = name.removeprefix("timm/"), _names()["optimizers"]
    if word not in known:
        raise ConfigError(f"optimizer.name: timm has no optimizer {word!r}{did_you_mean(word, known, prefix='timm/')}")
    if word in _names()["second_order"]:
        raise ConfigError(
            f"optimizer.name: {name!r} needs second derivatives, which the training loop does not compute"
        )


@cache
def _names() -> dict[str, list[str]]:
    kept = json.loads(TIMM_TABLE.read_text(encoding="utf-8"))
    return kept["names"] if kept["version"] == version("timm") else ask_timm()


def ask_timm() -> dict[str, list[str]]:
    """Return `networks`, `optimizers` and those of them of `second_order`. This imports timm, which takes seconds."""
    import timm.optim

    import models

    timm_optim = cast("Any", timm.optim)
    optimizers = timm_optim.list_optimizers()
    second = [name for name in optimizers if timm_optim.get_optimizer_info(name).second_order]
    return {"networks": models.timm_names(), "optimizers": optimizers, "second_order": second}


def timm_json() -> str:
    """Return the text of timm.json."""
    return json.dumps({"version": version("timm"), "names": ask_timm()}, indent=0) + "\n"
