"""Everything that talks to W&B about more than the run in hand: sweeps, finished runs, reports, panels."""
