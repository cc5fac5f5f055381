"""A run: what may begin, doing it, and what is remembered of it."""
