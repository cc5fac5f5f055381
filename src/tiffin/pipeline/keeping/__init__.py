"""What steps gave: known by the content of all that it follows from, kept whole or not at all, and shared."""
