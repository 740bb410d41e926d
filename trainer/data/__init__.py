"""Data sources, and the batches a network is trained on."""
