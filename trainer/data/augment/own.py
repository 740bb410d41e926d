"""An augmentation of the user's: a change of each batch, with a generator for its random draws."""

import torch
from torch import Tensor

from trainer.config.augment import OwnAugment
from trainer.data.augment.stage import Change, Epoch, Stage
from trainer.own import parts as own


def own_augment(config: OwnAugment) -> Stage:
    """Return the change of each batch. Raises ConfigError if there is none, or if it makes other than images."""
    source, function = own.source_of("augment.extra", config), own.build("augment.extra", config)

    def change_batch(images: Tensor, draw: torch.Generator) -> Tensor:
        with own.in_a_line(source, f"does not take images {list(images.shape)}"):
            changed = function(images, draw)
        if not isinstance(changed, Tensor) or changed.shape != images.shape or changed.dtype != torch.uint8:
            made = f"{own.described(changed)}{f' {changed.dtype}' if isinstance(changed, Tensor) else ''}"
            raise source.mistake(f"makes {made} of images {list(images.shape)} uint8; return images of that kind")
        return changed

    def stage(epoch: Epoch) -> Change:
        seeds = torch.randint(2**63 - 1, (epoch.batches,), generator=epoch.draw).tolist()

        def change(number: int, images: Tensor) -> Tensor:
            return change_batch(images, torch.Generator().manual_seed(seeds[number]))

        return change

    return stage
