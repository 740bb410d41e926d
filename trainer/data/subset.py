"""Subsets of a training set: stratified by class, drawn from a seed, in the set's own order."""

import torch
from torch import Tensor

from trainer.data.images import Split
from trainer.errors import ConfigError
from trainer.seeds import generator


def take(split: Split, size: int, *, seed: int) -> Split:
    """Return `size` images of `split`, each class in proportion and with at least one image.

    The same seed gives the same images. Raises ConfigError if `size` is impossible.
    """
    counts = torch.bincount(split.labels)
    classes = int(counts.count_nonzero())
    if size > len(split):
        raise ConfigError(f"data.train_size={size}: the training set has {len(split)} images")
    if size < classes:
        raise ConfigError(f"data.train_size={size}: too few for {classes} classes; set at least {classes}")
    shares = apportion(counts, size, at_least=counts.clamp(max=1), at_most=counts)
    return split.select(_draw(split.labels, shares, seed, "train_size").nonzero()[:, 0])


def hold_out(split: Split, fraction: float, *, seed: int) -> tuple[Split, Split]:
    """Return (the images left to train on, round(`fraction` * N) images held out): disjoint, together all of `split`.

    Each class is held out in proportion, but never its last image. Raises ConfigError if a part would be empty or a
    class would lose all of its images.
    """
    counts = torch.bincount(split.labels)
    classes, held = int(counts.count_nonzero()), round(fraction * len(split))
    if not held:
        raise ConfigError(
            f"data.val_fraction={fraction:g}: holds out none of {len(split)} training images; "
            "set more, or 0 for no validation"
        )
    if len(split) - held < classes:
        raise ConfigError(
            f"data.val_fraction={fraction:g}: leaves {len(split) - held} of {len(split)} images "
            f"to train on, too few for {classes} classes"
        )
    shares = apportion(counts, held, at_least=torch.zeros_like(counts), at_most=(counts - 1).clamp(min=0))
    chosen = _draw(split.labels, shares, seed, "val_fraction")
    return split.select((~chosen).nonzero()[:, 0]), split.select(chosen.nonzero()[:, 0])


def apportion(counts: Tensor, size: int, *, at_least: Tensor, at_most: Tensor) -> Tensor:
    """Return [K] whole numbers with sum `size`, as near to `counts` [K] in proportion as the bounds [K] allow.

    Largest remainder: whole shares first, then one by one to the class that lacks most. A tie goes to the first.
    """
    ideal = counts.double() * size / counts.sum()
    shares = ideal.floor().long().clamp(at_least, at_most)
    while missing := size - int(shares.sum()):
        lack = ideal - shares
        if missing > 0:
            shares[lack.masked_fill(shares >= at_most, -torch.inf).argmax()] += 1
        else:
            shares[lack.masked_fill(shares <= at_least, torch.inf).argmin()] -= 1
    return shares


def _draw(labels: Tensor, shares: Tensor, seed: int, purpose: str) -> Tensor:
    """Return [N] bool: `shares[k]` random images of each class k, independent for each `purpose`."""
    order = torch.randperm(len(labels), generator=generator(seed, purpose))  # [N]
    by_class = order[labels[order].argsort(stable=True)]  # [N] shuffled inside each class
    counts = torch.bincount(labels)
    rank = torch.arange(len(labels)) - (counts.cumsum(0) - counts).repeat_interleave(counts)  # [N] 0.. in each class
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[by_class[rank < shares.repeat_interleave(counts)]] = True
    return chosen
