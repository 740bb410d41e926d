"""Training of a network from a config: its parts, the loop, and everything that the loop calls."""
