"""Places with blobs: memory, and a layout on disk."""
