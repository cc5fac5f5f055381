"""Whatever is written with the language is refused with its line, or is a specification that Kubeflow reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import Graph
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.read import read_graph
from tiffin.pipeline.kubeflow.validate import read_spec
from tiffin.pipeline.kubeflow.write import pipeline_spec, prove, to_yaml
from unit.pipeline.kubeflow.twins import IMAGE
from unit.tiffin_pipeline import test_laws
from unit.tiffin_pipeline.test_laws import drawn


def written(graph: Graph) -> tuple[dict[str, Any], str]:
    try:
        return pipeline_spec(graph, Images(project=IMAGE)), ""
    except UnsupportedError as error:
        return {}, error.message


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_the_language_writes_is_refused_or_fits_kubeflow(data: st.DataObject) -> None:
    document = drawn(data.draw).trace(str(Path(test_laws.__file__).parent))
    graph = msgspec.convert(document, Graph)
    spec, refused = written(graph)
    event("refused" if refused else "written")
    assert all(line.startswith("test_laws.py:") for line in refused.splitlines())
    if refused:
        return
    prove(spec)
    text = to_yaml(spec)
    assert yaml.safe_load(text) == spec
    reading = read_graph(read_spec(text, "spec.yaml"))
    assert not reading.refused
    own = {task.name for task in graph.tasks()}
    assert len(list(reading.graph.tasks())) == len(own) + 1  # the importer of its rows
