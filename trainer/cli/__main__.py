"""`python -m trainer.cli`, the same as `trainer`."""

from trainer.cli.main import main

main()
