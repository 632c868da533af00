"""Experiments: what a contact did, told by those who were held out at random."""

from __future__ import annotations

HORIZON_DAYS = 90
"""Days that are looked ahead from a decision, by default."""
LEAST_EFFECT = 0.01
"""The smallest gain in retention worth having, by default: one customer in a hundred."""
