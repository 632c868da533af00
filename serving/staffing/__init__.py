"""How many agents a queue needs, and how sure that is; numpy and the standard library alone."""
