"""Forecasts of contacts over HTTP."""
