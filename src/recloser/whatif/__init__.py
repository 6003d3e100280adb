"""Other settings on recorded calls: comparisons, costs, and a search for good settings."""
