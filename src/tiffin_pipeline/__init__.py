"""What pipeline.py imports: steps, pipelines, and what steps read and write. Standard library only.

It runs in the user's environment, in the container of each step, and imports nothing of `tiffin`; the two share
documents (spec/pipeline.md, spec/pipeline.schema.json).
"""

from tiffin_pipeline.artifacts import Artifact, Dataset, Metrics, Model, Output, Status
from tiffin_pipeline.blocks import collect, first, for_each, on_exit, otherwise, when
from tiffin_pipeline.errors import PipelineError
from tiffin_pipeline.handles import Call
from tiffin_pipeline.pipelines import Pipeline, pipeline
from tiffin_pipeline.ready import build, champion, deploy, evaluate, gate, push, sign, split
from tiffin_pipeline.steps import Step, command, step
from tiffin_pipeline.words import out, path, value

__all__ = [
    "Artifact",
    "Call",
    "Dataset",
    "Metrics",
    "Model",
    "Output",
    "Pipeline",
    "PipelineError",
    "Status",
    "Step",
    "build",
    "champion",
    "collect",
    "command",
    "deploy",
    "evaluate",
    "first",
    "for_each",
    "gate",
    "on_exit",
    "otherwise",
    "out",
    "path",
    "pipeline",
    "push",
    "sign",
    "split",
    "step",
    "value",
    "when",
]
