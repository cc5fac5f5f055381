"""What a graph says before anything is done: values and their types, what refers to what, and what cannot be."""
