"""Numbers from one training step, measured without changing it."""
