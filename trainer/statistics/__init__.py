"""Statistics of a few seeds: intervals, verdicts, comparisons, power, failures. docs/statistics.md has the sources."""
