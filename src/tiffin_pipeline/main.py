"""What is asked of a container: the graph of a module, and to do one step (spec/pipeline.md), here or in a pod."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import List

from tiffin_pipeline.work import do

_USAGE = """usage: python -m tiffin_pipeline trace MODULE [NAME]
       python -m tiffin_pipeline step ORDER.json
       python -m tiffin_pipeline kubeflow MODULE FUNCTION --executor_input JSON
"""
_LEAST, _MOST = 2, 3
_POD = 5


def main(arguments: List[str]) -> int:
    """Do what is asked; gives the exit status."""
    if arguments[:1] == ["trace"] and _LEAST <= len(arguments) <= _MOST:
        return _trace(arguments[1], arguments[2] if len(arguments) == _MOST else "")
    if arguments[:1] == ["step"] and len(arguments) == _LEAST:
        return do(json.loads(Path(arguments[1]).read_text(encoding="utf-8")))
    if arguments[:1] == ["kubeflow"] and arguments[3:4] == ["--executor_input"] and len(arguments) == _POD:
        from tiffin_pipeline.kubeflow import run

        return run(arguments[1], arguments[2], arguments[4])
    sys.stderr.write(_USAGE)
    return 64


def _trace(module: str, name: str) -> int:
    """Print the graph, and nothing else: what the module itself prints goes to stderr."""
    from tiffin_pipeline.loading import traced

    answer = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    text = json.dumps(traced(module, name))
    with os.fdopen(answer, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    return 0
