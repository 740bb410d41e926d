"""`train`: how long, how large, how precise, how often looked at."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from trainer.config.base import Section

Tta = Literal["none", "hflip", "hflip_translate"]


class Ema(Section):
    decay: float = Field(default=0.0, ge=0, lt=1)
    """Share of the old average kept at each step; 0: no averaging. Weights and norm statistics are averaged,
    and the averaged network is the one that is evaluated."""
    every: PositiveInt = 1
    """Average every so many steps, with decay**every."""


class Train(Section):
    epochs: PositiveInt = 25
    batch_size: PositiveInt = 128
    accumulate: PositiveInt = 1
    """A batch is worked off in this many equal parts, one optimizer update a batch."""
    drop_last: bool = False
    """Leave out the last batch of an epoch where it is smaller than the others."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 on GPUs that have it and on CPUs with AVX512-BF16 or AMX, float32 elsewhere."""
    channels_last: bool = True
    compile: bool = False
    """torch.compile the network."""
    clip_grad_norm: NonNegativeFloat = 0.0
    """Largest L2 norm of the whole gradient; 0: unclipped."""
    ema: Ema = Field(default_factory=Ema)
    tta: Tta = "none"
    """Views of a test image whose logits are averaged: itself; and its mirror; and both moved by one pixel
    up-left and down-right. The one-view number is logged beside it as `test/accuracy_plain`."""
    eval_batch_size: PositiveInt = 500
    evaluate_every: PositiveInt = 1
    """Epochs between evaluations; the last epoch always has one."""
    checkpoint_every: PositiveInt = 1
    """Epochs between checkpoints; the last epoch always has one."""
    keep_best: bool = False
    """Keep the weights of the lowest validation loss, or training loss where there is no validation set, in best.pt."""
    log_every: NonNegativeInt = 0
    """Steps between rows of the current training loss and rate in metrics.jsonl; 0: one row an epoch only."""
    max_steps: PositiveInt | None = None
    """End after so many optimizer steps, for a try; schedules still run over `epochs`."""
    deterministic: bool = False
    """Only kernels that give the same bits every time; slower on GPUs. CPU runs repeat without it."""
