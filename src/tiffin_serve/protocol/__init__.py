"""What is said on the wire: Open Inference Protocol v2 values, plain rows, JSON tensors, frames, the service document."""
