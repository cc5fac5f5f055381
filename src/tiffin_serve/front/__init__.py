"""Sockets, HTTP, queue, routing to workers, drain: its own path and packages."""
