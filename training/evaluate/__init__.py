"""The past forecast and scored again, and judged."""
