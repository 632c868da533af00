"""Contact lists and experiments over HTTP."""
