"""A sweep's page: published against reproduced, and how sure we are."""
