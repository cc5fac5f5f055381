"""The central queue: which calls leave together, when, and what becomes of a batch that fails."""
