"""Pipelines beside other tools that run steps on one machine: three trivial steps, a first time and unchanged."""
