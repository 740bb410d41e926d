"""Which epoch is the best so far, and when to stop waiting for a better one."""

import math
from collections.abc import Mapping
from typing import Any

from trainer.config.train import EarlyStop


class Monitor:
    """Watches one metric over the epochs."""

    def __init__(self, config: EarlyStop, *, validates: bool) -> None:
        """`validates`: there is a validation set, whose loss is watched where the config names no metric."""
        self.metric = config.monitor or ("val/loss" if validates else "train/loss")
        highest = config.mode == "max" or (config.mode == "auto" and self.metric.endswith("accuracy"))
        self._sign = 1.0 if highest else -1.0
        self._min_delta, self._patience = config.min_delta, config.patience
        self._best = -self._sign * math.inf
        self._waited = 0  # epochs since the best

    def look(self, metrics: Mapping[str, float]) -> bool:
        """An epoch has ended; True where it is the best so far."""
        value = metrics[self.metric]
        better = self._sign * (value - self._best) > self._min_delta  # never true of a NaN
        if better:
            self._best = value
        self._waited = 0 if better else self._waited + 1
        return better

    @property
    def exhausted(self) -> bool:
        """Whether as many epochs as the patience allows have gone by without a new best."""
        return 0 < self._patience <= self._waited

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._best, self._waited = state["best"], state["waited"]
