"""Keep a service as wanted: what is wanted (`service`), where (`target`), and each target in a room of its own."""
