"""`probe`: what is measured during training beside loss and accuracy. Its probes come with the BatchNorm work."""

from trainer.config.base import Section


class Probe(Section):
    pass
