"""Containers of this machine, from `run` to `rm`, and on to another engine."""
