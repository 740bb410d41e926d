"""The `trainer` command: a file a command. torch and wandb are imported inside them, so that `--help` is fast."""
