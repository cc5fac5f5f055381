"""A cluster as a target: what we send (`manifests`), how we talk to it (`client`), and the target itself."""
