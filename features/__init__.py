"""What happened, what was known when, and what it means as numbers."""
