"""Whatever runs, by its name: a container, or a service with its replicas."""
