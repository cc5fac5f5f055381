"""This machine: what it can do, where tiffin keeps its state, and the engine that is meant."""
