"""Sweeps: a W&B sweep file read and checked, run with no server from an Optuna study, or handed to W&B."""
