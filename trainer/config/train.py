"""`train`: how long, how large, how precise, how often looked at."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from trainer.config.base import ChangesNoNumber, Section

Tta = Literal["none", "hflip", "hflip_translate"]


class Ema(Section):
    decay: float = Field(default=0.0, ge=0, lt=1)
    """Share of the old average kept at each step; 0: no averaging. Weights and norm statistics are averaged,
    and the averaged network is the one that is evaluated."""
    every: PositiveInt = 1
    """Average every so many steps, with decay**every."""


class Swa(Section):
    epochs: NonNegativeInt = 0
    """Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights at the ends of the last so many
    epochs, its BatchNorm statistics computed anew, is the network that is evaluated; 0: none."""


class EarlyStop(Section):
    monitor: Literal["val/loss", "val/accuracy", "train/loss", "train/accuracy"] | None = None
    """What makes an epoch the best so far, here and for `keep_best`; null: val/loss, or train/loss where there is no
    validation set. Never the test set."""
    mode: Literal["auto", "min", "max"] = "auto"
    """auto: a loss is best when lowest, an accuracy when highest."""
    min_delta: NonNegativeFloat = 0.0
    """An epoch has to be better than the best by more than this to be the new best."""
    patience: NonNegativeInt = 0
    """Epochs in a row without a new best after which the run ends; 0: never."""
    restore_best: bool = False
    """End with the weights of the best epoch."""


class Train(Section):
    epochs: PositiveInt = 25
    """Times that each training image is seen."""
    batch_size: PositiveInt = 128
    """Images of one optimizer update."""
    accumulate: PositiveInt = 1
    """A batch is worked off in this many equal parts, one optimizer update a batch."""
    drop_last: bool = False
    """Leave out the last batch of an epoch where it is smaller than the others."""
    device: Annotated[str, ChangesNoNumber()] = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    """auto, cpu, mps, cuda or cuda:N; auto: a GPU where there is one."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 on GPUs that have it and on CPUs with AVX512-BF16 or AMX, float32 elsewhere."""
    channels_last: bool = True
    """Keep images and weights with the channels innermost in memory, the faster form for convolutions."""
    compile: bool = False
    """torch.compile the network."""
    clip_grad_norm: NonNegativeFloat = 0.0
    """Largest L2 norm of the whole gradient; 0: unclipped."""
    ema: Ema = Field(default_factory=Ema)
    swa: Swa = Field(default_factory=Swa)
    early_stop: EarlyStop = Field(default_factory=EarlyStop)
    tta: Tta = "none"
    """Views of a test image whose logits are averaged: itself; and its mirror; and both moved by one pixel
    up-left and down-right. The one-view number is logged beside it as `test/accuracy_plain`."""
    eval_batch_size: Annotated[PositiveInt, ChangesNoNumber()] = 500
    """Images evaluated at a time; changes no number but the time."""
    evaluate_every: PositiveInt = 1
    """Epochs between evaluations; the last epoch always has one."""
    checkpoint_every: Annotated[PositiveInt, ChangesNoNumber()] = 1
    """Epochs between checkpoints; the last epoch always has one."""
    keep_best: Annotated[bool, ChangesNoNumber()] = False
    """Keep the weights of the best epoch, by `early_stop.monitor`, in best.pt."""
    log_every: Annotated[NonNegativeInt, ChangesNoNumber()] = 0
    """Steps between rows of the epoch's mean training loss so far and the rate in metrics.jsonl; 0: a row an epoch."""
    max_steps: PositiveInt | None = None
    """End after so many optimizer steps, for a try; schedules still run over `epochs`."""
    max_seconds: PositiveFloat | None = None
    """End after so many seconds inside training steps."""
    target_accuracy: float | None = Field(default=None, gt=0, le=1)
    """End with the first epoch of this val/accuracy, or test/accuracy where there is no validation set, as a fraction;
    `time/to_target_seconds` and `epochs_to_target` are logged. For time to accuracy, not for choosing a network."""
    deterministic: bool = False
    """Only kernels that give the same bits every time, where torch has them; slower on GPUs. CPU runs repeat without
    it."""
