"""Data sources, and the batches for training."""
