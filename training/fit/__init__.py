"""From the feature store to a bundle and its card."""
