"""Destinations of records: the run folder (always), the console, W&B. Each implements `trainer.protocols.Sink`."""
