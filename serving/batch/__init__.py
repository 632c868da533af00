"""What a night's batch computes and publishes."""
