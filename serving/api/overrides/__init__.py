"""Overrides of a planner over HTTP."""
