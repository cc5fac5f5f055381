"""Asking services that run: load that is measured, and whole files of rows."""
