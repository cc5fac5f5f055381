from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import Graph, Group, Item, Part, Task
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.read import read_graph
from tiffin.pipeline.kubeflow.tasks import ENVIRONMENT
from tiffin.pipeline.kubeflow.validate import read_spec
from tiffin.pipeline.kubeflow.write import pipeline_spec, prove, to_yaml
from tiffin_pipeline.loading import traced
from unit.pipeline.kubeflow import twins
from unit.pipeline.kubeflow.twins import IMAGE, argument, call, compare, constant, each, graph, port, when

PROJECT = Images(project=IMAGE)


def spec(made: Graph, images: Images = PROJECT) -> dict[str, Any]:
    document = pipeline_spec(made, images)
    prove(document)
    return document


@pytest.mark.parametrize("twin", twins.TWINS, ids=lambda twin: twin.__name__)
def test_the_same_graph_is_the_same_bytes(twin: Any) -> None:
    document = pipeline_spec(twin(), PROJECT)
    assert to_yaml(document) == to_yaml(pipeline_spec(twin(), PROJECT))
    (read,) = yaml.safe_load_all(to_yaml(document))
    assert read == document


def test_a_text_shares_nothing_by_anchors() -> None:
    assert "&id" not in to_yaml(spec(twins.parameters()))


def test_seconds_of_a_task_are_a_second_document_for_kubernetes() -> None:
    document = spec(graph("a", Task(name="count", step="count", timeout=1.5)))
    assert list(yaml.safe_load_all(to_yaml(document)))[1] == {
        "platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-count": {"activeDeadlineSeconds": "2"}}}}}
    }


def test_only_what_reads_nothing_has_a_cache_key_of_ours() -> None:
    document = spec(graph("a", call("count"), call("double", number=twins.NUMBER), call("double-2", number=2)))
    keys = {name: task["cachingOptions"].get("cacheKey") for name, task in document["root"]["dag"]["tasks"].items()}
    assert keys["double"] is None
    assert keys["count"].startswith("sha256:")
    assert keys["double-2"] != keys["count"]


def test_a_cache_key_follows_image_values_and_variables() -> None:
    def key(number: int = 1, image: str = IMAGE, env: dict[str, str] | None = None) -> str:
        plain = twins.STEPS["double"]
        does = msgspec.structs.replace(plain.does, image=image)
        steps = {"double": msgspec.structs.replace(plain, does=does, env=env or {})}
        tasks = spec(graph("a", call("double", number=number), steps=steps))["root"]["dag"]["tasks"]
        return str(tasks["double"]["cachingOptions"]["cacheKey"])

    other = IMAGE.replace("0" * 64, "1" * 64)
    assert key() == key()
    assert len({key(), key(2), key(image=other), key(env={"A": "b"})}) == 4


def test_what_is_not_cached_has_no_key_and_no_cache() -> None:
    tasks = spec(twins.retries())["root"]["dag"]["tasks"]
    assert tasks["fetch-3"]["cachingOptions"] == {}


def test_variables_are_an_input_that_kubeflows_cache_looks_at() -> None:
    parameters = spec(twins.resources())["root"]["dag"]["tasks"]["fetch"]["inputs"]["parameters"]
    assert parameters[ENVIRONMENT]["runtimeValue"]["constant"].startswith("sha256:")


def test_a_part_that_is_compared_is_of_the_type_that_it_is_compared_with() -> None:
    part = Part(of=argument("given"), path=("deep", "number"))
    body = when("choice", (compare(part, ">", 2), (call("double", number=Part(of=argument("given"), path=("n",))),)))
    document = spec(graph("a", body, parameters={"given": port("dict")}))
    name = "pipelinechannel--given-subvar-deep-subvar-number"
    inner = document["components"]["comp-condition-1"]
    assert inner["inputDefinitions"]["parameters"][name] == {"parameterType": "NUMBER_INTEGER"}
    task = document["root"]["dag"]["tasks"]["condition-1"]
    assert task["inputs"]["parameters"][name] == {
        "componentInputParameter": "given",
        "parameterExpressionSelector": 'parseJson(string_value)["deep"]["number"]',
    }
    assert task["triggerPolicy"] == {"condition": f"int(inputs.parameter_values['{name}']) > 2"}


def test_a_part_of_an_item_is_taken_where_it_is_read_however_deep() -> None:
    part = Part(of=Item(loop="each"), path=("word",))
    choice = when("choice", (compare(twins.NUMBER, "==", 1), (call("say", text=part),)))
    document = spec(graph("a", call("count"), each("each", constant([{"word": "a"}]), choice)))
    (branch,) = (one for name, one in document["components"].items() if name.startswith("comp-condition-"))
    assert branch["dag"]["tasks"]["say"]["inputs"]["parameters"]["text"] == {
        "componentInputParameter": "pipelinechannel--loop-item-param-1",
        "parameterExpressionSelector": 'parseJson(string_value)["word"]',
    }


def test_loops_over_one_list_within_each_other_have_items_of_their_own() -> None:
    tasks = (call("double", number=Item(loop="outer")), call("double-2", number=Item(loop="inner")))
    inner = each("inner", argument("given"), *tasks)
    document = spec(graph("a", each("outer", argument("given"), inner), parameters={"given": port("list")}))
    read = {
        name: task["inputs"]["parameters"]["number"]["componentInputParameter"]
        for name, task in document["components"]["comp-for-loop-2"]["dag"]["tasks"].items()
    }
    assert read == {
        "double": "pipelinechannel--given-loop-item",
        "double-2": "pipelinechannel--given-loop-item-for-loop-2",
    }


def test_what_comes_after_a_single_branch_comes_after_a_choice() -> None:
    choice = when("choice", (compare(twins.NUMBER, "==", 1), (call("name"),)))
    tasks = spec(graph("a", call("count"), choice, call("say", text="", after=("choice",))))["root"]["dag"]["tasks"]
    assert tasks["say"]["dependentTasks"] == ["condition-branches-1"]


def test_a_group_that_nothing_ends_keeps_its_name() -> None:
    document = spec(graph("a", Group(name="first", body=(call("count"),)), call("double", number=twins.NUMBER)))
    tasks = document["root"]["dag"]["tasks"]
    assert tasks["double"]["inputs"]["parameters"]["number"] == {
        "taskOutputParameter": {"producerTask": "first", "outputParameterKey": "pipelinechannel--count-number"}
    }


def test_a_group_may_end_another() -> None:
    body = (call("say", text="told"),)
    ends = Group(name="second", body=body, after=("first",), regardless=True)
    tasks = spec(graph("a", Group(name="first", body=(call("count"),)), ends))["root"]["dag"]["tasks"]
    assert tasks["second"]["dependentTasks"] == ["exit-handler-1"]
    assert tasks["second"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}


def test_files_to_run_with_are_addresses_that_are_imported() -> None:
    default = graph("a", call("split", rows=argument("rows")), parameters={"rows": port("Dataset", "data/rows.csv")})
    document = spec(default)
    assert document["root"]["inputDefinitions"]["parameters"] == {"rows": {"parameterType": "STRING"}}
    assert document["deploymentSpec"]["executors"]["exec-importer"]["importer"]["artifactUri"] == {
        "runtimeParameter": "uri"
    }
    known = graph("a", call("split", rows=argument("rows")), parameters={"rows": port("Dataset", "s3://bucket/rows")})
    assert spec(known)["root"]["inputDefinitions"]["parameters"]["rows"]["defaultValue"] == "s3://bucket/rows"


def test_a_type_of_artifact_that_kubeflow_does_not_know_is_an_artifact() -> None:
    made = spec(twins.imported())
    known = msgspec.structs.replace(twins.STEPS["count"], outputs={"forest": port("Forest"), "number": port("int")})
    other = spec(graph("a", call("count"), steps={"count": known}))
    assert made["components"]["comp-split"]["inputDefinitions"]["artifacts"]["rows"]["artifactType"] == {
        "schemaTitle": "system.Dataset",
        "schemaVersion": "0.0.1",
    }
    forest = other["components"]["comp-count"]["outputDefinitions"]["artifacts"]["forest"]
    assert forest["artifactType"]["schemaTitle"] == "system.Artifact"


@pytest.mark.parametrize("twin", twins.TWINS, ids=lambda twin: twin.__name__)
def test_what_is_written_for_kubeflow_runs_here_as_well(twin: Any) -> None:
    made = twin()
    reading = read_graph(read_spec(to_yaml(spec(made)), "spec.yaml"))
    assert not reading.refused
    assert len(list(reading.runnable().tasks())) >= len(list(made.tasks()))


def test_without_the_extra_it_is_said_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kfp.pipeline_spec", None)
    with pytest.raises(UnsupportedError) as caught:
        prove(pipeline_spec(twins.chain(), PROJECT))
    assert caught.value.hint == "pip install 'tiffin[kubeflow]'"


def test_what_kubeflows_messages_refuse_is_said() -> None:
    document = pipeline_spec(twins.chain(), PROJECT)
    with pytest.raises(UnsupportedError, match="refuse the specification of chain"):
        prove({**document, "unheard": 1})


STORY = """
from tiffin_pipeline import Dataset, Metrics, Model, Output, Status, collect, first, for_each, on_exit, otherwise
from tiffin_pipeline import pipeline, step, when


@step
def split(rows: Dataset, train: Output[Dataset], test: Output[Dataset], share: float = 0.2) -> None: ...


@step(cpus=2, memory="2Gi", retries=2, timeout=600, env={"OMP_NUM_THREADS": "2"})
def fit(train: Dataset, model: Output[Model], depth: int = 4) -> None: ...


@step
def evaluate(model: Model, test: Dataset, scores: Output[Metrics]) -> float: ...


@step
def choose(models: list[Model], best: Output[Model]) -> None: ...


@step
def complain(score: float) -> None: ...


@step
def tell(how: Status) -> None: ...


@pipeline
def retrain(rows: Dataset = "data/rows.csv", depth: int = 4, target: float = 0.9):
    with on_exit(tell):
        parts = split(rows=rows)
        with for_each([1, 2, 3], parallel=2) as d:
            tried = fit(train=parts.train, depth=d)
        best = choose(models=collect(tried.model))
        scores = evaluate(model=best.best, test=parts.test)
        with when(scores.output > target):
            deep = fit(train=parts.train, depth=depth)
        with otherwise():
            complain(scores.output)
            other = fit(train=parts.train)
        evaluate(model=first(deep.model, other.model), test=parts.test)
    return scores.output
"""


def story(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    (folder / "story_to_compile.py").write_text(STORY)
    monkeypatch.syspath_prepend(str(folder))
    answer = traced("story_to_compile", root=str(folder))
    return msgspec.convert(answer["graph"], Graph)


def test_what_dana_writes_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = spec(story(tmp_path, monkeypatch))
    container = document["deploymentSpec"]["executors"]["exec-split"]["container"]
    assert container == {
        "image": IMAGE,
        "command": ["python3", "-m", "tiffin_pipeline", "kubeflow", "story_to_compile", "split"],
        "args": ["--executor_input", "{{$}}"],
    }
    tasks = document["root"]["dag"]["tasks"]
    assert tasks["tell"]["inputs"]["parameters"]["how"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}
    assert set(tasks) == {"importer", "exit-handler-1", "tell"}
