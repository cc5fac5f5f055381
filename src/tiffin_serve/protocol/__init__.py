"""What is said on the wire: Open Inference Protocol v2, plain rows, tensors, frames, the service document."""
