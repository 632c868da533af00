"""Features and labels of customers, as known at a moment."""
