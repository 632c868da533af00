"""The published forecast as it is asked for; pure functions, no HTTP."""
