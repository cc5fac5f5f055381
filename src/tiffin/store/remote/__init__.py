"""Registries (OCI distribution-spec 1.1): where a repository is, the right to read it, and its content as a store."""
