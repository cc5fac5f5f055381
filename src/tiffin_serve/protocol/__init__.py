"""Open Inference Protocol v2 values; JSON tensors."""
