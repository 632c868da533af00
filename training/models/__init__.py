"""Learns what the models in serving apply."""
