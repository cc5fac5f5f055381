"""Images: found, named, moved between stores, registries and files, and trusted."""
