"""The gRPC port: the same questions, the same queue. Only `door` is imported before gRPC is wanted."""
