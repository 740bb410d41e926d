"""Published rows and claims, compared with our runs."""
