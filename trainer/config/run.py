"""The whole config of one run."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from trainer.config.augment import Augment
from trainer.config.base import ChangesNoNumber, Section
from trainer.config.data import Cifar10, Data
from trainer.config.loss import CrossEntropy, Loss
from trainer.config.model import Model
from trainer.config.optimizer import Optimizer, Sgd
from trainer.config.probe import Probe
from trainer.config.schedule import Cosine, Schedule
from trainer.config.sink import Sink
from trainer.config.train import Train


class RunConfig(Section):
    seed: NonNegativeInt = Field(default=0, lt=2**63)
    """Seed of initialisation, image order, augmentation and dropout."""
    data: Data = Field(default_factory=Cifar10)
    model: Model = Field(default_factory=Model)
    optimizer: Optimizer = Field(default_factory=Sgd)
    schedule: Schedule = Field(default_factory=Cosine)
    loss: Loss = Field(default_factory=CrossEntropy)
    augment: Augment = Field(default_factory=Augment)
    train: Train = Field(default_factory=Train)
    probe: Annotated[Probe, ChangesNoNumber()] = Field(default_factory=Probe)
    sink: Annotated[Sink, ChangesNoNumber()] = Field(default_factory=Sink)
    protocol: Literal["last", "best_val", "best_test"] = "last"
    """Epoch whose test accuracy is the run's headline: the last one, the one with the best val/accuracy, or the one
    with the best test/accuracy. best_test is a choice made on the test set and is labelled so wherever it appears."""

    @model_validator(mode="after")
    def _what_is_watched_is_measured(self) -> Self:
        monitor, validates = self.train.early_stop.monitor or "", self.data.val_fraction > 0
        if monitor.startswith("val/") and not validates:
            raise ValueError(f"train.early_stop.monitor: {monitor!r} needs a validation set; set data.val_fraction")
        if self.protocol == "best_val" and not validates:
            raise ValueError("protocol: 'best_val' needs a validation set; set data.val_fraction")
        if self.protocol != "last" and self.train.early_stop.restore_best:
            raise ValueError(
                f"protocol: {self.protocol!r} picks an epoch, but train.early_stop.restore_best picks one, too; use one"
            )
        if self.train.early_stop.restore_best and self.train.target_accuracy and not validates:
            raise ValueError(
                f"train.target_accuracy: {self.train.target_accuracy:g}: without a validation set the test accuracy of"
                " the last weights ends the run, but train.early_stop.restore_best goes back to others; use one"
            )
        if getattr(self.schedule, "monitor", "auto") == "test/loss" and self.train.evaluate_every > 1:
            raise ValueError("schedule.monitor: 'test/loss' needs every epoch evaluated; set train.evaluate_every=1")
        if self.protocol != "last" and self.train.evaluate_every > 1:
            raise ValueError(f"protocol: {self.protocol!r} needs every epoch evaluated; set train.evaluate_every=1")
        return self

    @model_validator(mode="after")
    def _what_several_devices_do(self) -> Self:
        count = self.train.devices
        if count == 1:
            return self
        if on := self.probe.measured:
            raise ValueError(f"train.devices: {count}: {on[0]} measures on one device only; turn it off, or set 1")
        if self.train.batch_size < count:
            raise ValueError(f"train.batch_size: {self.train.batch_size} images cannot be shared by {count} devices")
        if self.train.tta_share < 1:
            raise ValueError(
                f"train.tta_share: {self.train.tta_share:g}: {count} devices would pick other images; set 1"
            )
        if self.train.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"train.device: {self.train.device!r} is one device, not {count}; use cuda or cpu")
        return self

    @model_validator(mode="after")
    def _one_average(self) -> Self:
        if self.train.ema.decay and self.train.swa.epochs:
            raise ValueError("train.swa.epochs: there can be only one averaged network; set train.ema.decay=0")
        return self
