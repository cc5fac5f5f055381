"""Kubeflow Pipelines v2: what is written for it, and what was written for it.

`write` makes a PipelineSpec 2.1.0 of a graph; what the open-source back end could not run, `refuse` says before it,
with the line of pipeline.py. `read` makes a graph of a compiled specification that `validate` finds nothing wrong in,
and its containers run here by the contract of Kubeflow's launcher. Nothing here needs the kfp SDK.
"""
