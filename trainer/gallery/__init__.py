"""The panels as a person meets them: listed, drawn on this machine, pushed to W&B."""
