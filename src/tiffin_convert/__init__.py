"""Converts a fitted model to ONNX and measures what that changes; runs in a sandbox of the model's own environment.

It imports nothing of `tiffin`, which sends it there as text together with the server's worker: the worker's loaders say
what the model takes and gives, before the conversion and after it.
"""
