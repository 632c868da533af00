"""Time, zones, working days and opening hours."""
