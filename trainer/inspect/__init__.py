"""What a trained network sees, from its run folder: mistakes, maps, weights; and runs against each other."""
