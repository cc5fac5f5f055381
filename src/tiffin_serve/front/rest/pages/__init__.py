"""Pages for a browser: trying the model, and reading what its server answers."""
