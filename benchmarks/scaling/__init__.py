"""Scaling replayed: Tiffin's decisions beside Knative's algorithm, over the same requests, in one simulator."""
