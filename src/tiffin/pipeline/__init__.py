"""Steps that feed each other: read as one graph, run here by the content of what they read, or by Kubeflow Pipelines.

The data goes one way: `graph` is what was written, `meaning` says what it comes to and refuses what cannot be,
`running` begins what may begin, `keeping` has what a step would give or a `Workbench` makes it, and a ledger remembers.
"""
