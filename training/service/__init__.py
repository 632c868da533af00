"""Patience and the effective service rate, from contacts with waits, and how well they predict."""

from __future__ import annotations

DAYS = 91
"""Days of contacts that are looked back on."""
