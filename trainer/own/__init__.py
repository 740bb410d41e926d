"""Own parts, read from a file or an installed module: found, loaded once, their arguments checked, their text kept.

One mechanism serves networks, losses, optimizers, augmentations, probes and data sets. docs/own.md is its manual.
"""
