"""What a batch publishes and a request reads: immutable folders, verified once, read in place."""
