"""The report of a sweep while it runs, served to a browser."""
