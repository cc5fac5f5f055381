"""Plan an image, make it, describe it."""
