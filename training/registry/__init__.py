"""Versions, gates, promotion."""
