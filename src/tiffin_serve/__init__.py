"""The server in the image; imports nothing of tiffin."""

__version__ = "0.1.0"
