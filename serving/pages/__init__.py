"""The pages for people: what is served, and the API's documentation; no outside script."""
