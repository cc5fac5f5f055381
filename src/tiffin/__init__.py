"""Tiffin packs a trained model, its code, its environment and a server into one OCI image, and runs it anywhere."""

__version__ = "0.1.0"
