"""What a cluster is asked for, as plain objects: one module a kind, or a few that belong together."""
