"""Health, readiness, metrics and models over HTTP."""
