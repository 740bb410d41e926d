"""Size and memory of a run before it."""

import pytest

from trainer.config import load_config
from trainer.errors import ConfigError
from trainer.training.dry_run import plan_run
from trainer.training.network_arguments import complete_parts
from trainer.training.timm_names import ask_timm

_WEIGHTS = 62_006  # of lenet5


def test_nearly_all_of_timms_optimizers_have_a_state_of_a_known_size() -> None:
    """Some read numbers in their step, which the meta device does not have: novograd, adamp, sgdp and others."""
    names = ask_timm()
    # Those of other packages need a GPU.
    trains = [each for each in names["optimizers"] if not each.startswith(("bnb", "fused", "kron"))]
    numbers = {
        name: plan_run(load_config(_words(name), complete=complete_parts).config)["memory/optimizer"] // 4
        for name in trains
        if name not in names["second_order"]
    }
    assert numbers["lion"] == _WEIGHTS
    assert numbers["adamp"] == 2 * _WEIGHTS
    assert numbers["novograd"] == _WEIGHTS + 10  # a second moment for each tensor


@pytest.mark.filterwarnings("ignore:.*opt_einsum:UserWarning")  # kron's advice
def test_kron_is_refused_in_a_line() -> None:
    with pytest.raises(ConfigError, match=r"^optimizer\.name: the memory of timm/kronw is known only in training"):
        plan_run(load_config(_words("kronw"), complete=complete_parts).config)


def _words(optimizer: str) -> list[str]:
    return ["data.name=shapes10", "model.name=lenet5", f"optimizer.name=timm/{optimizer}"]
