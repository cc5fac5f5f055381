"""`tiffin pipeline`: the group; each of its commands is a file of its own, imported when it is used."""

from __future__ import annotations

import click

from tiffin.cli.lazy import LazyGroup

COMMANDS = {
    "compile": "write a pipeline for Kubeflow Pipelines",
    "graph": "draw a pipeline, or one of its runs",
    "list": "list the runs of a pipeline, or what they measured",
    "logs": "show what a step wrote",
    "plan": "say which steps would be done, and why",
    "run": "do the steps of a pipeline whose results are not there yet",
    "status": "show how a run is",
    "watch": "run a pipeline by its schedule, and for new data",
    "why": "say which part of a step's key changed",
}


@click.group("pipeline", cls=LazyGroup, table=COMMANDS, prefix="pipeline_")
def command() -> None:
    """Retrain: steps of pipeline.py that feed each other, each done once for what it takes."""
