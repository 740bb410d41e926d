"""The best epoch so far, and when to stop waiting for a better one."""

import math
from collections.abc import Mapping
from typing import Any

from trainer.config.train import EarlyStop


class Monitor:
    """One metric over the epochs."""

    def __init__(self, config: EarlyStop, *, validates: bool) -> None:
        """Without a metric in the config, watch the validation loss if the run `validates`, else the training loss."""
        self.metric = config.monitor or ("val/loss" if validates else "train/loss")
        highest = config.mode == "max" or (config.mode == "auto" and self.metric.endswith("accuracy"))
        self._sign = 1.0 if highest else -1.0
        self._min_delta, self._patience = config.min_delta, config.patience
        self._best = -self._sign * math.inf
        self._waited = 0  # epochs since the best

    def update(self, metrics: Mapping[str, float]) -> bool:
        """Take the metrics of an epoch that has ended. Return whether it is the best so far."""
        value = metrics[self.metric]
        better = self._sign * (value - self._best) > self._min_delta  # False for a NaN
        if better:
            self._best = value
        self._waited = 0 if better else self._waited + 1
        return better

    @property
    def exhausted(self) -> bool:
        """True after `patience` epochs without a new best."""
        return 0 < self._patience <= self._waited

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._best, self._waited = state["best"], state["waited"]
