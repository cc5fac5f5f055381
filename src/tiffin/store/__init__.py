"""Places with blobs: memory, a layout on disk, and an archive."""
