"""The verbs as plain functions; the only composition root."""
