"""Compiled pipelines that are one are accepted, and of others it is said what is wrong, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tiffin.errors import ConfigError
from tiffin.pipeline.kubeflow.validate import in_order, read_spec
from unit.pipeline.kubeflow.compiled import (
    FILE,
    compiled_by_kfp,
    component,
    constant,
    given,
    one_step,
    outer,
    parameter,
    pipeline,
    shell,
    status_of,
    task,
    text_of,
)

SAY = {"say": component("say", {"text": parameter()}, {"said": parameter()})}
RUNS = {"say": shell("echo $0", "{{$.inputs.parameters['text']}}")}
HELLO = {"text": constant("hello")}


def refused(document: Any) -> str:
    text = document if isinstance(document, str) else text_of(document)
    with pytest.raises(ConfigError) as caught:
        read_spec(text, FILE)
    assert caught.value.hint
    return caught.value.message


def of(**tasks: Any) -> dict[str, Any]:
    return pipeline(tasks, SAY, RUNS)


@pytest.mark.parametrize("path", compiled_by_kfp())
def test_what_kfp_compiles_is_accepted_and_what_it_refuses_is_refused(path: Path) -> None:
    if "__invalid__" in path.name:
        assert path.name in refused_file(path)
    else:
        assert read_spec(path.read_text(), path.name).pipeline["pipelineInfo"]["name"]


def refused_file(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_spec(path.read_text(), path.name)
    return caught.value.message


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n"])
def test_a_file_without_a_document_is_refused(text: str) -> None:
    assert refused(text) == f"{FILE} is empty: no pipeline is in it"


def test_a_list_is_no_pipeline() -> None:
    assert refused("- a\n") == f"{FILE}:1: a list, and no pipeline"


def test_a_pipeline_without_a_name_is_refused_at_its_line() -> None:
    text = text_of(of(say=task("say", parameters=HELLO))).replace("name: tried", "name:")
    assert refused(text) == f"{FILE}:2: the pipeline has no name - at pipelineInfo.name"


def test_no_yaml_is_refused_at_its_line() -> None:
    assert refused("a: b\nc: [\n").startswith(f"{FILE}:3: no YAML: ")


def test_a_key_that_is_there_twice_is_refused() -> None:
    assert refused("root:\n  dag: {}\n  dag: {}\n") == f"{FILE}:3: 'dag' is there twice - at root"


def test_aliases_that_grow_without_end_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too much" in refused("\n".join(lines))


def test_a_field_that_nobody_knows_is_refused_with_its_place() -> None:
    document = of(say=task("say", parameters=HELLO, surprise=True))
    message = refused(document)
    assert 'no field named "surprise"' in message
    assert message.endswith("at root.dag.tasks.say")
    assert message.startswith(f"{FILE}:")


def test_a_field_of_an_executor_that_nobody_knows_is_refused_with_its_place() -> None:
    document = of(say=task("say", parameters=HELLO))
    document["deploymentSpec"]["executors"]["exec-say"]["container"]["cmd"] = ["sh"]
    assert "deploymentSpec.executors" in refused(document)


@pytest.mark.parametrize("version", ["2.2.0", "1.0.0", ""])
def test_another_version_is_refused(version: str) -> None:
    document = of(say=task("say", parameters=HELLO)) | {"schemaVersion": version}
    assert "2.1.0 and 2.0.0 are" in refused(document)


def test_a_pipeline_without_tasks_is_refused() -> None:
    assert "the pipeline has no task - at root.dag.tasks" in refused(of())


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"say": task("shout")}, "there is no component 'comp-shout' - at root.dag.tasks.say.componentRef.name"),
        (
            {"say": task("say", "shout", parameters=HELLO)},
            "there is no task 'shout' beside it - at root.dag.tasks.say.dependentTasks",
        ),
        (
            {"say": task("say", parameters={"text": given("shout", "said")})},
            "there is no task 'shout' beside it - at root.dag.tasks.say.inputs.parameters.text",
        ),
        (
            {"say": task("say", parameters=HELLO), "two": task("say", parameters={"text": given("say", "heard")})},
            "task 'say' has no output 'heard' among its parameters - at root.dag.tasks.two.inputs.parameters.text",
        ),
        (
            {"say": task("say", parameters={"text": outer("word")})},
            "there is no input 'word' around it - at root.dag.tasks.say.inputs.parameters.text",
        ),
        (
            {"say": task("say", parameters={"text": status_of("shout")})},
            "there is no task 'shout' beside it - at root.dag.tasks.say.inputs.parameters.text",
        ),
        ({"say": task("say")}, "its input 'text' is not given - at root.dag.tasks.say.inputs"),
        (
            {
                "say": task(
                    "say",
                    parameters=HELLO,
                    parameterIterator={"itemInput": "word", "items": {"inputParameter": "words"}},
                )
            },
            "there is no input 'words' to take items from - at root.dag.tasks.say.parameterIterator.items",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_with_its_place(tasks: dict[str, Any], message: str) -> None:
    assert message in refused(of(**tasks))


def test_tasks_that_wait_for_each_other_are_refused() -> None:
    tasks = {"one": task("say", "two", parameters=HELLO), "two": task("say", parameters={"text": given("one", "said")})}
    message = refused(of(**tasks))
    assert "the tasks wait for each other: " in message
    assert "one → two → one" in message or "two → one → two" in message


def test_components_that_contain_each_other_are_refused() -> None:
    inner = component("", dag={"tasks": {"inner": task("a")}})
    assert "components contain each other: comp-a → comp-a" in refused(pipeline({"a": task("a")}, {"a": inner}, {}))


def test_a_component_whose_executor_is_not_there_is_refused() -> None:
    document = pipeline({"say": task("say", parameters=HELLO)}, SAY, {})
    assert "there is no executor 'exec-say' - at components.comp-say.executorLabel" in refused(document)


def test_an_output_of_a_task_that_is_not_there_is_refused() -> None:
    document = of(say=task("say", parameters=HELLO))
    document["root"]["dag"]["outputs"] = {
        "parameters": {"x": {"valueFromParameter": {"producerSubtask": "shout", "outputParameterKey": "said"}}}
    }
    assert "there is no task 'shout' beside it - at root.dag.outputs.parameters.x" in refused(document)


def test_everything_that_is_wrong_is_said_and_some_of_much() -> None:
    message = refused(of(**{f"t{number}": task("shout") for number in range(7)}))
    assert message.count("there is no component") == 5
    assert message.endswith("… and 2 more")


def test_a_second_document_has_platforms() -> None:
    document = one_step(shell("true"))
    text = text_of(document, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}})
    assert read_spec(text, FILE).kubernetes == {"deploymentSpec": {}}
    assert "2 pipelines and 0 platforms" in refused(text_of(document, document))
    assert "a platform that is not known: moon" in refused(text_of(document, {"platforms": {"moon": {}}}))


def test_names_of_protobuf_are_read_as_well_as_those_of_json() -> None:
    document = of(say=task("say", parameters=HELLO))
    document["pipeline_info"] = document.pop("pipelineInfo")
    assert read_spec(text_of(document), FILE).pipeline["pipelineInfo"] == {"name": "tried"}


def test_a_chain_of_thousands_of_tasks_is_in_order() -> None:
    tasks = {f"t{number}": {"dependentTasks": [f"t{number + 1}"]} for number in range(3000)} | {"t3000": {}}
    assert in_order(tasks) == [f"t{number}" for number in range(3000, -1, -1)]
