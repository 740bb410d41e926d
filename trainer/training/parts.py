"""The parts of a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from trainer.config.train import Train
from trainer.data.batches import Normalize, TrainingBatches
from trainer.data.images import Split
from trainer.data.second_tests import SecondTest
from trainer.protocols import Probe
from trainer.training.averages import Ema, Swa
from trainer.training.device import Compute
from trainer.training.early_stop import Monitor
from trainer.training.ranks import ALONE, Ranks
from trainer.training.schedules import RateSchedule


@dataclass(frozen=True)
class Parts:
    """Everything that a run needs, built from its config."""

    config: Train
    compute: Compute
    model: nn.Module
    forward: Callable[[Tensor], Tensor]  # the model, or its compiled form
    ema: Ema | None
    swa: Swa | None
    monitor: Monitor
    loss_fn: nn.Module  # logits [N, K], targets [N] or [N, K] -> losses [N]
    reduction: Literal["mean", "sum"]  # of a batch's losses, for the gradient
    penalty: Callable[[], Tensor] | None  # added to the loss
    optimizer: torch.optim.Optimizer
    schedule: RateSchedule
    scaler: torch.amp.GradScaler
    normalize: Normalize
    batches: TrainingBatches
    val: Split | None
    test: Split
    also: Sequence[SecondTest]  # on the CPU
    class_names: tuple[str, ...]
    probes: Sequence[Probe]
    keep_best: bool
    path_every: int  # epochs between kept weights; 0: none
    ranks: Ranks = ALONE
    build_seconds: float = 0.0  # that it took to build all this, but for
    prepare_seconds: float = 0.0  # the whitening, and the images on the device

    @property
    def ended(self) -> list[Tensor]:
        """The parameters whose rate has ended for good. An update leaves them alone."""
        return [parameter for i in self.schedule.ended for parameter in self.optimizer.param_groups[i]["params"]]

    @property
    def learning(self) -> list[Tensor] | None:
        """The other ones that are trained, or None for all: of those alone a gradient is needed."""
        groups, ended = self.optimizer.param_groups, self.schedule.ended
        rest = [parameter for i, group in enumerate(groups) if i not in ended for parameter in group["params"]]
        return [parameter for parameter in rest if parameter.requires_grad] or None if ended else None

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated and kept: the average, if there is one."""
        if self.swa and self.swa.count:
            return self.swa.average
        return self.ema.average if self.ema else self.model
