"""The server in the image; imports nothing of tiffin."""
