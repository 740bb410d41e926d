"""From a config to a trained network: its parts, the loop, and everything the loop calls."""
