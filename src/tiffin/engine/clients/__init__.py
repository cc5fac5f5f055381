"""Engines that are other people's programs, asked by their command lines: docker and podman."""
