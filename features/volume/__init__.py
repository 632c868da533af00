"""Contacts per queue and interval, and what changes them."""
