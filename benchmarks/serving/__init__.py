"""Tiffin's server beside other model servers, in one run: `python -m benchmarks.serving`."""
