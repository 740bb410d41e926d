"""Augmentation of whole batches on the training device, after the crop and flip that a batch is gathered with."""
