"""Each table, declared once, and the checks of its rules."""
