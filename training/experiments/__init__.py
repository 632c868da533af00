"""Experiments: what a contact did, told by those who were held out at random."""
