"""Churn scores over HTTP."""
