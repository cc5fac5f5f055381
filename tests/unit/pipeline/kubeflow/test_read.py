"""Compiled pipelines become graphs: channels are followed to where they begin, and what is not done here is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiffin.errors import UnsupportedError
from tiffin.pipeline.graph import (
    Argument,
    Branch,
    Command,
    Compare,
    Constant,
    FirstOf,
    ForEach,
    Graph,
    Group,
    Importer,
    Item,
    Output,
    Part,
    Port,
    Resources,
    Retry,
    Status,
    Task,
    Text,
    When,
    bodies_of,
)
from tiffin.pipeline.kubeflow.read import Reading, read_graph
from tiffin.pipeline.kubeflow.validate import read_spec
from tiffin.pipeline.meaning.check import check
from unit.pipeline.kubeflow.compiled import (
    FILE,
    artifact,
    compiled_by_kfp,
    component,
    constant,
    given,
    given_artifact,
    one_step,
    outer,
    outer_artifact,
    parameter,
    pipeline,
    reading,
    selected,
    selected_artifact,
    shell,
    status_of,
    task,
    text_of,
)

SAY = component("say", {"text": parameter()}, {"said": parameter(), "file": artifact()})
RUN = shell("echo $0", "{{$.inputs.parameters['text']}}")
HELLO = {"text": constant("hello")}


def named(graph: Graph, name: str) -> Any:
    """The task, branch, loop or group of a name."""

    def within(body: tuple[Any, ...]) -> Any:
        for node in body:
            if node.name == name:
                return node
            found = next((each for inner in bodies_of(node) if (each := within(inner))), None)
            if found:
                return found
        return None

    return within(graph.body)


def messages(found: Reading) -> list[str]:
    assert all(remark.hint for remark in found.refused)
    return [remark.message for remark in found.refused]


@pytest.mark.parametrize("path", [each for each in compiled_by_kfp() if "__invalid__" not in str(each.values[0])])
def test_what_kfp_compiles_becomes_a_graph_that_is_the_same_when_it_was_written_and_read(path: Path) -> None:
    graph = read_graph(read_spec(path.read_text(), path.name)).graph
    assert msgspec.json.decode(msgspec.json.encode(graph), type=Graph) == graph
    names = list(_names(graph.body))
    assert len(names) == len(set(names))
    check(graph)


def _names(body: tuple[Any, ...]) -> Any:
    for node in body:
        yield node.name
        if isinstance(node, When):
            yield from (branch.name for branch in node.branches)
        for inner in bodies_of(node):
            yield from _names(inner)


def test_a_task_takes_constants_arguments_and_what_others_give_and_knows_its_line() -> None:
    tasks = {
        "one": task("say", parameters={"text": outer("word")}),
        "two": task("say", "one", parameters={"text": given("one", "said")}, caching=False),
    }
    graph = reading(
        pipeline(
            tasks,
            {"say": SAY},
            {"say": RUN},
            inputs={"word": parameter(defaultValue="hi", isOptional=True)},
            outputs={"parameters": {"last": selected("two", "said")}},
        )
    ).graph
    assert graph.name == "tried"
    assert graph.parameters == {"word": Port(type="str", default="hi", optional=True)}
    assert named(graph, "one").inputs == {"text": Argument(name="word")}
    two = named(graph, "two")
    assert (two.inputs, two.after, two.cached) == ({"text": Output(task="one", name="said")}, ("one",), False)
    assert graph.outputs == {"last": Output(task="two", name="said")}
    assert two.place.file == FILE
    assert two.place.line > 20


def test_a_group_is_written_out_with_the_way_to_its_tasks_in_their_names() -> None:
    inner = component(
        "",
        {"word": parameter()},
        {"last": parameter(), "made": artifact()},
        dag={
            "tasks": {
                "one": task("say", parameters={"text": outer("word")}),
                "two": task("say", parameters={"text": given("one", "said")}),
            },
            "outputs": {
                "parameters": {"last": selected("two", "said")},
                "artifacts": {"made": selected_artifact(("one", "file"))},
            },
        },
    )
    take = component("take", {"text": parameter(), "file": artifact()})
    tasks = {
        "deep": task("deep", parameters={"word": constant("a")}),
        "take": task(
            "take",
            "deep",
            parameters={"text": given("deep", "last")},
            artifacts={"file": given_artifact("deep", "made")},
        ),
    }
    graph = reading(pipeline(tasks, {"deep": inner, "say": SAY, "take": take}, {"say": RUN, "take": RUN})).graph
    assert isinstance(named(graph, "deep"), Group)
    assert named(graph, "deep-one").inputs == {"text": Constant(value="a")}
    assert named(graph, "deep-two").inputs == {"text": Output(task="deep-one", name="said")}
    taken = {"text": Output(task="deep-two", name="said"), "file": Output(task="deep-one", name="file")}
    assert named(graph, "take").inputs == taken
    assert named(graph, "take").after == ("deep",)


def test_names_that_would_be_the_same_are_told_apart() -> None:
    inner = component("", dag={"tasks": {"b": task("say", parameters=HELLO)}})
    tasks = {"a": task("deep"), "a-b": task("say", parameters=HELLO)}
    graph = reading(pipeline(tasks, {"deep": inner, "say": SAY}, {"say": RUN})).graph
    assert [each.name for each in graph.tasks()] == ["a-b-2", "a-b"]


def test_what_a_group_is_not_given_has_the_groups_default() -> None:
    inner = component(
        "",
        {"word": parameter(defaultValue="own", isOptional=True)},
        dag={"tasks": {"one": task("say", parameters={"text": outer("word")})}},
    )
    inputs = {"maybe": parameter(isOptional=True)}
    tasks = {"a": task("deep"), "b": task("deep", parameters={"word": outer("maybe")})}
    graph = reading(pipeline(tasks, {"deep": inner, "say": SAY}, {"say": RUN}, inputs=inputs)).graph
    assert named(graph, "a-one").inputs == {"text": Constant(value="own")}
    both = FirstOf(sources=(Argument(name="maybe"), Constant(value="own")))
    assert named(graph, "b-one").inputs == {"text": both}


def test_a_condition_is_a_branch_around_a_task_or_a_group() -> None:
    count = component("count", {"n": parameter("NUMBER_INTEGER"), "text": parameter()}, {"said": parameter()})
    inner = component(
        "",
        {"n": parameter("NUMBER_INTEGER")},
        {"last": parameter()},
        dag={
            "tasks": {"one": task("say", parameters=HELLO)},
            "outputs": {"parameters": {"last": selected("one", "said")}},
        },
    )
    policy = {"condition": "int(inputs.parameter_values['n']) > 3"}
    tasks = {
        "deep": task("deep", parameters={"n": outer("n")}, triggerPolicy=policy),
        "bare": task("count", parameters={"n": outer("n"), "text": given("deep", "last")}, triggerPolicy=policy),
        "after": task("say", "bare", "deep", parameters=HELLO),
    }
    found = reading(
        pipeline(
            tasks,
            {"deep": inner, "say": SAY, "count": count},
            {"say": RUN, "count": RUN},
            inputs={"n": parameter("NUMBER_INTEGER", defaultValue=4.0)},
        )
    )
    condition = Compare(left=Argument(name="n"), operator=">", right=Constant(value=3))
    deep, bare = named(found.graph, "deep"), named(found.graph, "bare-if")
    assert found.graph.parameters["n"].default == 4
    assert isinstance(found.graph.parameters["n"].default, int)
    assert isinstance(deep, When)
    assert deep.branches == (Branch(name="deep-then", condition=condition, body=(named(found.graph, "deep-one"),)),)
    assert bare.branches[0].condition == condition
    assert bare.branches[0].body[0].inputs["text"] == Output(task="deep-one", name="said")
    assert named(found.graph, "after").after == ("bare-if", "deep")


def loop_of(items: dict[str, Any], **given: Any) -> Reading:
    inner = component(
        "",
        {"each": parameter("STRUCT"), "words": parameter("LIST", isOptional=True)},
        {"all": parameter("LIST"), "files": artifact(isArtifactList=True)},
        dag={
            "tasks": {
                "one": task(
                    "say",
                    parameters={"text": outer("each", parameterExpressionSelector='parseJson(string_value)["a"]')},
                )
            },
            "outputs": {
                "parameters": {"all": selected("one", "said")},
                "artifacts": {"files": selected_artifact(("one", "file"))},
            },
        },
    )
    take = component("take", {"all": parameter("LIST"), "files": artifact(isArtifactList=True)})
    tasks = {
        "loop": task("loop", parameterIterator={"itemInput": "each", "items": items}, **given),
        "take": task(
            "take",
            "loop",
            parameters={"all": given_("loop", "all")},
            artifacts={"files": given_artifact("loop", "files")},
        ),
    }
    return reading(
        pipeline(
            tasks,
            {"loop": inner, "say": SAY, "take": take},
            {"say": RUN, "take": RUN},
            inputs={"given": parameter("LIST"), "text": parameter()},
        )
    )


given_ = given


def test_a_loop_over_what_was_written_has_items_and_gives_lists() -> None:
    found = loop_of({"raw": '[{"a": 1.0}, {"a": "x"}]'}, iteratorPolicy={"parallelismLimit": 2})
    loop = named(found.graph, "loop")
    assert isinstance(loop, ForEach)
    assert (loop.items, loop.parallel) == (Constant(value=[{"a": 1}, {"a": "x"}]), 2)
    assert named(found.graph, "loop-one").inputs == {"text": Part(of=Item(loop="loop"), path=("a",))}
    taken = {"all": Output(task="loop-one", name="said"), "files": Output(task="loop-one", name="file")}
    assert named(found.graph, "take").inputs == taken
    assert found.graph.steps["take"].inputs["files"] == Port(type="Dataset", many=True)


def test_a_loop_goes_over_a_list_or_a_text_that_is_one() -> None:
    found = loop_of({"inputParameter": "words"}, parameters={"words": outer("given")})
    assert named(found.graph, "loop").items == Argument(name="given")
    found = loop_of({"inputParameter": "words"}, parameters={"words": outer("text")})
    assert named(found.graph, "loop").items == Part(of=Argument(name="text"), path=())


def test_items_that_are_no_list_are_refused_to_run() -> None:
    (message,) = messages(loop_of({"raw": '{"a": 1}'}))
    assert message.startswith("no list in JSON: ")
    assert message.endswith("at root.dag.tasks.loop.parameterIterator.items")


def branches(*, looped: bool) -> Reading:
    def branch(label: str) -> dict[str, Any]:
        dag = {
            "tasks": {"one": task("say", parameters=HELLO)},
            "outputs": {"parameters": {"said": selected("one", "said")}},
        }
        return component(label, {"flag": parameter("BOOLEAN")}, {"said": parameter()}, dag=dag)

    yes, no = ({"condition": f"{sign}inputs.parameter_values['flag']"} for sign in ("", "!"))
    flag = {"flag": outer("flag")}
    both = component(
        "",
        {"flag": parameter("BOOLEAN"), "each": parameter("NUMBER_INTEGER", isOptional=True)},
        {"said": parameter()},
        dag={
            "tasks": {
                "yes": task("yes", parameters=flag, triggerPolicy=yes),
                "no": task("no", parameters=flag, triggerPolicy=no),
            },
            "outputs": {
                "parameters": {
                    "said": {
                        "valueFromOneof": {
                            "parameterSelectors": [
                                {"producerSubtask": each, "outputParameterKey": "said"} for each in ("yes", "no")
                            ]
                        }
                    }
                }
            },
        },
    )
    more = {"parameterIterator": {"itemInput": "each", "items": {"raw": "[1]"}}} if looped else {}
    tasks = {
        "both": task("both", parameters=flag, **more),
        "take": task("say", "both", parameters={"text": given("both", "said")}),
    }
    components = {"both": both, "yes": branch("yes"), "no": branch("no"), "say": SAY}
    return reading(pipeline(tasks, components, {"say": RUN}, inputs={"flag": parameter("BOOLEAN")}))


def test_what_one_of_several_branches_gives_is_the_first_that_is_there() -> None:
    found = branches(looped=False)
    first = FirstOf(sources=(Output(task="both-yes-one", name="said"), Output(task="both-no-one", name="said")))
    assert named(found.graph, "take").inputs == {"text": first}
    assert not found.refused


def test_what_one_of_several_branches_gives_is_not_collected_over_a_loop() -> None:
    (message,) = messages(branches(looped=True))
    assert message.startswith("what one of several branches gives is collected over a loop")


def test_an_exit_task_runs_regardless_and_is_told_how_it_ended() -> None:
    body = component("", dag={"tasks": {"one": task("say", parameters=HELLO)}})
    tell = component("tell", {"status": parameter("TASK_FINAL_STATUS", isOptional=True)})
    as_dict = component("plain", {"status": parameter("STRUCT")})
    later = component(
        "",
        {"status": parameter("TASK_FINAL_STATUS")},
        dag={"tasks": {"x": task("plain", parameters={"status": outer("status")})}},
    )
    policy = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    told = {"status": status_of("exit")}
    tasks = {
        "exit": task("exit"),
        "tell": task("tell", "exit", parameters=told, triggerPolicy=policy),
        "later": task("later", "exit", parameters=told, triggerPolicy=policy),
    }
    components = {"exit": body, "say": SAY, "tell": tell, "plain": as_dict, "later": later}
    graph = reading(pipeline(tasks, components, {"say": RUN, "tell": RUN, "plain": RUN})).graph
    assert named(graph, "tell") == Task(
        name="tell",
        step="tell",
        after=("exit",),
        regardless=True,
        inputs={"status": Status(of="exit")},
        place=named(graph, "tell").place,
    )
    assert (named(graph, "later").regardless, named(graph, "later-x").regardless) == (True, False)
    assert named(graph, "later-x").inputs == {"status": Status(of="exit")}
    assert graph.steps["plain"].inputs["status"].type == "status"


def test_a_text_is_put_together_of_other_inputs_of_its_task() -> None:
    inputs = {"n": parameter("NUMBER_INTEGER")}
    taken = {
        "text": constant("a-{{$.inputs.parameters['pipelinechannel--n']}}-b"),
        "same": constant("{{$.inputs.parameters['pipelinechannel--n']}}"),
        "there": constant("{{$.workspace_path}}/x"),
        "other": constant("{{$.inputs.parameters['text']}}!"),
        "itself": constant("{{$.inputs.parameters['itself']}}"),
        "pipelinechannel--n": outer("n"),
    }
    declared = {name: parameter() for name in ("text", "there", "other", "itself")}
    step = component("say", {**declared, "same": parameter("NUMBER_INTEGER")})
    found = reading(
        pipeline({"one": task("say", parameters=taken)}, {"say": step}, {"say": shell("true")}, inputs=inputs)
    )
    text = Text(pieces=("a-", Argument(name="n"), "-b"))
    assert named(found.graph, "one").inputs == {
        "text": text,
        "same": Argument(name="n"),
        "there": Constant(value="/kfp-workspace/x"),
        "other": Text(pieces=(text, "!")),
        "itself": Constant(value="{{$.inputs.parameters['itself']}}"),
    }


def test_an_input_that_only_the_command_names_comes_with_its_value() -> None:
    step = component("say", {"text": parameter()})
    runs = shell("true", "{{$.inputs.parameters['pipelinechannel--n']}}")
    taken = {**HELLO, "pipelinechannel--n": constant(3.0), "other": constant(1.0)}
    graph = reading(pipeline({"one": task("say", parameters=taken)}, {"say": step}, {"say": runs})).graph
    assert named(graph, "one").inputs.keys() == {"text", "pipelinechannel--n"}
    assert graph.steps["say"].inputs["pipelinechannel--n"].optional


def test_a_text_takes_a_number_as_text_and_a_list_takes_the_json_of_a_text() -> None:
    step = component("say", {"text": parameter(), "list": parameter("LIST")})
    inputs = {"n": parameter("NUMBER_DOUBLE"), "t": parameter()}
    taken = {"text": outer("n"), "list": outer("t")}
    graph = reading(
        pipeline({"one": task("say", parameters=taken)}, {"say": step}, {"say": shell("true")}, inputs=inputs)
    ).graph
    assert named(graph, "one").inputs == {
        "text": Text(pieces=(Argument(name="n"),)),
        "list": Part(of=Argument(name="t"), path=()),
    }


def test_resources_retries_environment_and_settings_of_a_container_are_taken() -> None:
    resources = {
        "cpuLimit": 9.0,
        "resourceCpuLimit": "500m",
        "resourceMemoryLimit": "1Gi",
        "accelerator": {"count": "1", "type": "x", "resourceCount": "2", "resourceType": "nvidia.com/gpu"},
    }
    document = one_step(shell("true", resources=resources, env=[{"name": "A", "value": "1"}]))
    document["root"]["dag"]["tasks"]["say"]["retryPolicy"] = {
        "maxRetryCount": 3,
        "backoffDuration": "1.5s",
        "backoffFactor": 3.0,
        "backoffMaxDuration": "60s",
    }
    config = {
        "activeDeadlineSeconds": "30",
        "podMetadata": {"labels": {"a": "x"}},
        "fieldPathAsEnv": [{"name": "L", "fieldPath": "metadata.labels['a']"}],
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "secretAsEnv": [{"secretName": "s", "optional": True, "keyToEnv": [{"secretKey": "k", "envVar": "E"}]}],
    }
    found = reading(document, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-say": config}}}}})
    step = found.graph.steps["say"]
    assert step.resources == Resources(cpus=0.5, memory=1 << 30, gpus=2)
    assert step.env == {"A": "1", "L": "x"}
    assert named(found.graph, "say").retry == Retry(count=3, seconds=1.5, factor=3.0, most=60.0)
    assert named(found.graph, "say").timeout == 30.0
    assert not found.refused
    assert [remark.message.partition(" changes ")[0] for remark in found.told[:2]] == ["podMetadata", "tolerations"]
    assert found.told[2].message.startswith("secretAsEnv is optional, and there is none here - at platforms.kubernetes")


def test_old_limits_are_in_gigabytes() -> None:
    graph = reading(one_step(shell("true", resources={"cpuLimit": 1.5, "memoryLimit": 4.294967296}))).graph
    assert graph.steps["say"].resources == Resources(cpus=1.5, memory=1 << 32)


def test_steps_have_a_network_if_that_is_said() -> None:
    document = one_step(shell("true"))
    assert not reading(document).graph.steps["say"].network
    assert reading(document, network=True).graph.steps["say"].network


def test_of_a_python_component_it_is_told_that_it_installs_kfp() -> None:
    document = one_step(shell("python3 -m kfp.dsl.executor_main"))
    document["deploymentSpec"]["executors"]["exec-say"]["container"]["command"] = ["python3 -m kfp.dsl.executor_main"]
    (remark,) = reading(document).told
    assert "it installs kfp when it starts, and there is no network" in remark.message
    assert not reading(document, network=True).told


def importing(uri: dict[str, Any], **more: Any) -> dict[str, Any]:
    schema = {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"}
    take = component("take", {"file": artifact("system.Model")})
    imports = component("import", {"uri": parameter()}, {"artifact": artifact("system.Model")})
    tasks = {
        "import": task("import", parameters={"uri": outer("from")}, **more),
        "take": task("take", "import", artifacts={"file": given_artifact("import", "artifact")}),
    }
    executors = {
        "import": {"importer": {"artifactUri": uri, "typeSchema": schema, "metadata": {"a": 1}}},
        "take": shell("true"),
    }
    return pipeline(tasks, {"import": imports, "take": take}, executors, inputs={"from": parameter()})


def test_an_importer_takes_its_address_as_it_was_written_or_as_an_input() -> None:
    found = reading(importing({"runtimeParameter": "uri"}))
    step = found.graph.steps["import"]
    assert step.does == Importer(uri=Argument(name="uri"), metadata={"a": 1})
    assert step.outputs == {"artifact": Port(type="Model")}
    assert not step.cached
    assert named(found.graph, "import").inputs == {"uri": Argument(name="from")}
    assert reading(importing({"constant": "file:///x"})).graph.steps["import"].does == Importer(
        uri=Constant(value="file:///x"), metadata={"a": 1}
    )


def test_a_pipeline_that_is_given_artifacts_has_them_as_parameters() -> None:
    take = component("take", {"file": artifact()})
    tasks = {"take": task("take", artifacts={"file": outer_artifact("data")})}
    graph = reading(pipeline(tasks, {"take": take}, {"take": shell("true")}, inputs={"data": artifact()})).graph
    assert graph.parameters == {"data": Port(type="Dataset")}
    assert named(graph, "take").inputs == {"file": Argument(name="data")}


def test_what_is_of_one_run_is_done_each_time() -> None:
    taken = {"text": constant("{{$.pipeline_job_uuid}}")}
    graph = reading(pipeline({"one": task("say", parameters=taken)}, {"say": SAY}, {"say": RUN})).graph
    assert not named(graph, "one").cached
    config = {"platforms": {"kubernetes": {"pipelineConfig": {"workspace": {"size": "1Gi"}}}}}
    document = pipeline({"one": task("say", parameters=HELLO)}, {"say": SAY}, {"say": RUN})
    found = reading(document, config)
    assert (found.workspace, named(found.graph, "one").cached) == (True, False)
    assert named(reading(document).graph, "one").cached


def changed(executor: dict[str, Any]) -> dict[str, Any]:
    return one_step(executor)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (changed({"container": {"image": "x", "args": ["a"]}}), "the container has no command"),
        (changed({"container": {"command": ["a"]}}), "the container has no image"),
        (changed(shell("true", image="argostub/createpvc")), "a task that makes a volume of a cluster"),
        (
            changed(shell("true", image="{{$.inputs.parameters['i']}}")),
            "an image that is known only when the task runs",
        ),
        (
            changed(shell("true", resources={"resourceCpuLimit": "{{$.inputs.parameters['i']}}"})),
            "a limit that is known only when the task runs",
        ),
        (changed(shell("true", resources={"resourceCpuLimit": "some"})), "'some' is no amount such as 500m, 2 or 4Gi"),
        (
            changed(shell("true", resources={"accelerator": {"resourceCount": "1", "resourceType": "tpu"}})),
            "an accelerator 'tpu'",
        ),
        (changed({"resolver": {}}), "an executor that runs a query (resolver)"),
        (changed({"customJob": {"customJob": {}}}), "an executor that runs a job of Vertex AI (customJob)"),
        (changed({"container": {"image": "x", "command": ["a", '{"IfPresent": 1}']}}), '{"IfPresent": 1} is neither'),
        (importing({"constant": "x"}, triggerPolicy={"condition": "true"}), "an importer with a condition"),
    ],
)
def test_what_is_not_done_here_is_refused_to_run_with_its_place(document: dict[str, Any], message: str) -> None:
    found = reading(document)
    (remark,) = found.refused
    assert remark.message.startswith(message)
    assert " - at " in remark.message
    assert remark.at.startswith(f"{FILE}:")
    with pytest.raises(UnsupportedError, match=r"^pipeline\.yaml:\d+: ") as caught:
        found.runnable()
    assert caught.value.hint


@pytest.mark.parametrize("name", ["secretAsVolume", "pvcMount", "securityContext", "emptyDirMounts", "brandNew"])
def test_settings_that_a_program_would_miss_are_refused_to_run(name: str) -> None:
    config = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-say": {name: [{"a": "b"}]}}}}}}
    document = one_step(shell("true"))
    (remark,) = reading(document, config).refused
    assert remark.message.startswith(f"{name}: ")
    assert remark.message.endswith(f"at platforms.kubernetes.deploymentSpec.executors.exec-say.{name}")
    line = int(remark.at.removeprefix(f"{FILE}:"))
    assert text_of(document, config).splitlines()[line - 1].strip() == f"{name}:"


def test_a_condition_that_is_not_read_is_refused_to_run() -> None:
    policy = {"condition": "size(inputs.parameter_values['text']) > 3"}
    document = pipeline({"one": task("say", parameters=HELLO, triggerPolicy=policy)}, {"say": SAY}, {"say": RUN})
    (message,) = messages(reading(document))
    assert "'size' is not known in column 1 - at root.dag.tasks.one.triggerPolicy.condition" in message


def test_loops_over_artifacts_groups_tried_again_and_groups_of_exit_tasks_are_refused_to_run() -> None:
    inner = component(
        "",
        {"each": artifact(), "all": artifact(isArtifactList=True)},
        dag={"tasks": {"one": task("say", parameters=HELLO)}},
    )
    tasks = {
        "loop": task(
            "loop",
            artifacts={"all": outer_artifact("files")},
            artifactIterator={"itemInput": "each", "items": {"inputArtifact": "all"}},
            retryPolicy={"maxRetryCount": 1},
            triggerPolicy={"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
        )
    }
    document = pipeline(
        tasks, {"loop": inner, "say": SAY}, {"say": RUN}, inputs={"files": artifact(isArtifactList=True)}
    )
    found = messages(reading(document))
    assert [message.partition(" - at ")[0] for message in found] == [
        "a group of exit tasks only",
        "a group that is tried again",
        "a loop over artifacts",
    ]


def test_commands_are_words_and_say_which_image() -> None:
    does = reading(one_step(shell("true"))).graph.steps["say"].does
    assert does == Command(argv=("sh", "-c", "true"), image="registry.test/others:1", launcher=True)
