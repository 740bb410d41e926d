"""Inspection of trained networks from their run folders (mistakes, maps, weights), and comparison of runs."""
