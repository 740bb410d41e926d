"""A sweep without torch: a trainer that pretends, and a controller over it, for tests of who runs what and when."""
