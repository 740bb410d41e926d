"""A run on disk: its folder, its numbers, its checkpoint, and which runs are one configuration."""
