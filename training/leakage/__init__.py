"""Whether a model learns from what nobody could know: ``python -m training leakage``."""
