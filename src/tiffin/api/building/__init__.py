"""From a folder to an image: the project, its lock, the wiring of the builder, and its proof."""
