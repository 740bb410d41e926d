"""`train`: length, batches, device, precision, averages, stopping and evaluation."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from trainer.config.base import ChangesNoNumber, Section, Younger

Tta = Literal["none", "hflip", "hflip_translate"]


class Ema(Section):
    decay: float = Field(default=0.0, ge=0, lt=1)
    """Share of the average kept at each step, for weights and norm statistics. The averaged network is the one that is
    evaluated. 0 turns averaging off."""
    every: PositiveInt = 1
    """Steps between two updates of the average, which then use decay**every."""
    warmup: bool = True
    """Let the decay rise with the steps t, as min(decay, (1 + t) / (10 + t)), so that a short run soon forgets its
    first weights. The rule is that of TensorFlow's `tf.train.ExponentialMovingAverage` with `num_updates`."""


class Swa(Section):
    epochs: NonNegativeInt = 0
    """Number of final epochs whose weights are averaged (stochastic weight averaging, Izmailov et al. 2018). The
    averaged network, with BatchNorm statistics of its own, is the one that is evaluated. The pass over the training set
    that computes them counts as training time. A run that ends before these epochs has no average, and says so. 0 turns
    averaging off."""


class EarlyStop(Section):
    monitor: Literal["val/loss", "val/accuracy", "train/loss", "train/accuracy"] | None = None
    """Metric that decides which epoch is the best, also for `keep_best`. null is val/loss, or train/loss without a
    validation set. The test set is not a choice."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Best value of the metric: its lowest or its highest. auto is min for a loss and max for an accuracy."""
    min_delta: NonNegativeFloat = 0.0
    """Smallest improvement over the best epoch that counts. It must be exceeded."""
    patience: NonNegativeInt = 0
    """Epochs in a row without a new best after which the run ends. 0 turns early stopping off."""
    restore_best: bool = False
    """Restore the weights of the best epoch at the end. The last row and the summary then have its `train/*`, `val/*`
    and `test/*`."""


def _no_word(size: Any) -> Any:
    if size == "auto":
        raise ValueError("a config has a number; `trainer train --batch-size auto` measures one")
    return size


def _whole(number: float) -> float:
    """Return an int if it is one: runs stored before epochs could be fractions have ints."""
    return int(number) if number == int(number) else number


def _mode(value: object) -> object:
    """Read `true` as the default mode, and `off` as YAML does."""
    return {"true": "default", "false": False, "off": False}.get(str(value).lower(), value)


class BatchSchedule(Section):
    """Batches of other sizes later in the run. Learning rates stay what `optimizer.lr` and `schedule` say."""

    sizes: Annotated[tuple[PositiveInt, ...], Younger()] = ()
    """Images per optimizer update, in the order of training. Empty keeps `batch_size`."""
    from_epochs: Annotated[tuple[PositiveInt, ...], Younger()] = ()
    """Epoch from which each size is used, counted from 0. Before the first one it is `batch_size`."""

    @model_validator(mode="after")
    def _each_has_its_epoch(self) -> Self:
        if len(self.sizes) != len(self.from_epochs):
            raise ValueError(f"{len(self.sizes)} sizes but {len(self.from_epochs)} epochs; give one epoch a size")
        if any(a >= b for a, b in pairwise(self.from_epochs)):
            raise ValueError(f"from_epochs must rise, got {list(self.from_epochs)}")
        return self


class Train(Section):
    epochs: Annotated[float, Field(ge=1e-3), AfterValidator(_whole), PlainSerializer(_whole, return_type=Any)] = 25
    """Passes over the training set. The last step of 9.9 epochs is the first one that completes them."""
    batch_size: Annotated[PositiveInt, BeforeValidator(_no_word)] = 128
    """Images per optimizer update."""
    batch_schedule: BatchSchedule = Field(default_factory=BatchSchedule)
    accumulate: PositiveInt = 1
    """Number of parts in which a batch is processed, which differ by one image at most. There is still one optimizer
    update per batch."""
    drop_last: bool = False
    """Leave out the last batch of an epoch if it is smaller than the others."""
    device: Annotated[str, ChangesNoNumber()] = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    """auto, cpu, mps, cuda or cuda:N. auto is a GPU if there is one."""
    devices: Annotated[PositiveInt, Younger()] = 1
    """Number of devices that share each batch, a process (rank) for each: GPUs, or shares of this CPU's threads.
    docs/scale.md has what is as on one device. torchrun sets it."""
    precision: Literal["auto", "float32", "tf32", "bfloat16", "float16"] = "auto"
    """Number format of matrix products. auto is bfloat16 on GPUs from compute capability 8.0, float16 on older ones,
    bfloat16 on CPUs with AVX512-BF16 or AMX, and otherwise float32. tf32 rounds float32 to 10 bits of mantissa on such
    GPUs. A resume keeps what auto was."""
    channels_last: bool = True
    """Store images and weights with the channels last in memory, which is faster for convolutions."""
    compile: Annotated[Literal[False, "default", "max-autotune", "auto"], BeforeValidator(_mode)] = False
    """Compile the network with torch.compile, before the first step and apart from its clock. default and max-autotune
    are its modes (true is default). max-autotune times its kernels, so bits vary. auto is default for a long
    run on a GPU, and false elsewhere."""
    graphs: Annotated[bool, ChangesNoNumber(), Younger()] = False
    """Record steps as CUDA graphs, which small networks and small batches gain from. What cannot be recorded is a line
    on stderr, and goes on as before."""
    clip_grad_norm: NonNegativeFloat = 0.0
    """Largest L2 norm of the whole gradient. 0 turns clipping off."""
    ema: Ema = Field(default_factory=Ema)
    swa: Swa = Field(default_factory=Swa)
    early_stop: EarlyStop = Field(default_factory=EarlyStop)
    tta: Tta = "none"
    """Test-time augmentation: the views of an image whose logits are averaged. hflip adds the mirror image.
    hflip_translate also adds both moved by one pixel up-left and down-right. The accuracy without augmentation is
    logged as `test/accuracy_plain`."""
    tta_share: Annotated[float, Field(gt=0, le=1), Younger()] = 1.0
    """Share of the images whose views are averaged: those that the network is least certain of. The others keep the
    logits of the image alone, which costs less."""
    eval_batch_size: Annotated[NonNegativeInt, ChangesNoNumber()] = 0
    """Images per batch in an evaluation. It changes the time, and results by rounding alone. 0 is 500 on a CPU, and on
    a GPU as many as have the pixels of 2,500 images of 32x32 pixels, from 500 to 2,500."""
    evaluate_every: PositiveInt = 1
    """Epochs between evaluations on the test set. The last epoch is always evaluated."""
    checkpoint_every: Annotated[PositiveInt, ChangesNoNumber()] = 1
    """Epochs between checkpoints. The last epoch always writes one."""
    checkpoint_seconds: Annotated[NonNegativeFloat | None, ChangesNoNumber(), Younger()] = None
    """Least seconds between two checkpoints of `checkpoint_every`. A stop and the end always write one. null is 30 on a
    GPU, where an epoch can take less than its checkpoint, and 0 elsewhere."""
    keep_best: Annotated[bool, ChangesNoNumber()] = False
    """Keep the weights of the best epoch, by `early_stop.monitor`, in best.pt."""
    log_every: Annotated[NonNegativeInt, ChangesNoNumber()] = 0
    """Steps between rows in metrics.jsonl with the epoch's mean training loss so far and the rate. 0 writes a row per
    epoch only."""
    max_steps: PositiveInt | None = None
    """End after this many optimizer steps, for a quick test. Schedules are still those of `epochs`."""
    max_seconds: PositiveFloat | None = None
    """End after this many seconds of training: those inside its steps, and in the passes of `swa`."""
    target_accuracy: float | None = Field(default=None, gt=0, le=1)
    """End after the first epoch with this val/accuracy, as a fraction, or test/accuracy without a validation set.
    `time/to_target_seconds` and `epochs_to_target` are logged. Use it to measure time to accuracy, not to choose a
    network."""
    deterministic: bool = False
    """Use only kernels that give the same bits every time, if torch has them, and warn of the others. This is slower
    on GPUs. Without it, cuDNN's convolutions repeat, too, and on a CPU everything does."""
    cudnn_benchmark: Annotated[bool, Younger()] = False
    """Let cuDNN choose its algorithms on a GPU by timing them. This can be faster, but the same seed no longer gives
    the same bits."""

    @model_validator(mode="after")
    def _bits_repeat_or_not(self) -> Self:
        if self.deterministic and self.cudnn_benchmark:
            raise ValueError("deterministic and cudnn_benchmark are both true, but bits repeat or vary; turn one off")
        if self.deterministic and self.compile == "max-autotune":
            raise ValueError("deterministic is true, but with compile=max-autotune bits vary; try compile=default")
        return self
