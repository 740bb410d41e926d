"""cifar-sweeps: ablations on CIFAR-sized image classification. `trainer --help` lists the commands."""

__version__ = "0.1.0"
