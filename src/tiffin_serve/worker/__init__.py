"""Loads the model and predicts: standard library only, runs in the user's environment."""
