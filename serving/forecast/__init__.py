"""The published forecast as a request selects and changes it; pure functions, no HTTP."""
