"""The whole config of one run."""

from pydantic import Field, NonNegativeInt

from trainer.config.augment import Augment
from trainer.config.base import Section
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
    """Drives initialisation, order of images, augmentation and dropout."""
    data: Data = Field(default_factory=Cifar10)
    model: Model = Field(default_factory=Model)
    optimizer: Optimizer = Field(default_factory=Sgd)
    schedule: Schedule = Field(default_factory=Cosine)
    loss: Loss = Field(default_factory=CrossEntropy)
    augment: Augment = Field(default_factory=Augment)
    train: Train = Field(default_factory=Train)
    probe: Probe = Field(default_factory=Probe)
    sink: Sink = Field(default_factory=Sink)
