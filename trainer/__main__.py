"""`python -m trainer`, the same as `trainer`: for `torchrun -m trainer train ...`."""

from trainer.cli.main import main

if __name__ == "__main__":
    main()
