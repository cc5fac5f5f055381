"""Run containers: embedded on bubblewrap, docker and podman by their command lines, one in memory for tests."""
