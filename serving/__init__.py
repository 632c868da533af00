"""What a servable model is, and how it answers."""
