"""A client that finds out whether any server keeps to the Open Inference Protocol v2; standard library only."""
