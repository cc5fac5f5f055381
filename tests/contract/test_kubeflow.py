"""Compiled pipelines of Kubeflow run here, in containers of the embedded engine, as the launcher runs them there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from contract.engine_fixtures import REAL, ClientBench
from contract.workbench_fixtures import equipment, images
from tiffin.engine.embedded.engine import EmbeddedEngine
from tiffin.engine.spec import Engine
from tiffin.errors import UnsupportedError
from tiffin.layers.unpack import unpack_layer
from tiffin.oci.digest import Digest
from tiffin.pipeline.benches.containers import Standing
from tiffin.pipeline.graph import Importer, Step
from tiffin.pipeline.kubeflow.bench import LauncherBench
from tiffin.pipeline.kubeflow.importer import ImporterBench, Means
from tiffin.pipeline.kubeflow.launcher import Where
from tiffin.pipeline.kubeflow.read import read_graph
from tiffin.pipeline.kubeflow.validate import read_spec
from tiffin.pipeline.running.ledger import Planned, begun
from tiffin.pipeline.running.means import Means as RunMeans
from tiffin.pipeline.running.run import run_pipeline
from tiffin.pipeline.running.runs import Run, RunState
from tiffin.pipeline.running.spots import State
from tiffin.pipeline.workbench import Ended, Input, Order
from unit.pipeline.kubeflow.compiled import (
    FILE,
    artifact,
    compiled_by_kfp,
    component,
    constant,
    given,
    given_artifact,
    outer,
    parameter,
    pipeline,
    selected,
    shell,
    status_of,
    task,
    text_of,
)
from unit.pipeline.memory_results import MemoryResults


class _Benches:
    """Importers by one, everything else by another."""

    def __init__(self, containers: LauncherBench) -> None:
        self._containers, self._importers = containers, ImporterBench(Means())

    def identity(self, step: Step) -> dict[str, str]:
        return self._of(step).identity(step)

    def do(self, order: Order, said: Callable[[str], None], stopped: Event) -> Ended:
        return self._of(order.step).do(order, said, stopped)

    def _of(self, step: Step) -> LauncherBench | ImporterBench:
        return self._importers if isinstance(step.does, Importer) else self._containers


class Place:
    """Where compiled pipelines are run, and what they wrote."""

    def __init__(self, folder: Path, engine: Engine, name: str) -> None:
        store, own, others = images()
        self.folder = folder
        self.results = MemoryResults(folder / "taken")
        self.lines: dict[str, list[str]] = {}
        where = Where(pipeline="tried", workspaces=folder / "workspaces")
        bench = LauncherBench(
            equipment(
                engine, name, folder, store, own, others, find=lambda reference: Standing(name=reference, image=others)
            ),
            where,
        )
        self.means = RunMeans(
            workbench=_Benches(bench),
            results=self.results,
            look=self._look,
            changed=lambda _input: False,
            heard=lambda task, line: self.lines.setdefault(task, []).append(line),
            wait=lambda _stopped, _seconds: None,
        )

    def run(self, *documents: dict[str, Any], arguments: Mapping[str, Any] | None = None) -> Run:
        return self.run_text(text_of(*documents), arguments)

    def run_text(self, text: str, arguments: Mapping[str, Any] | None = None) -> Run:
        graph = read_graph(read_spec(text, FILE)).runnable()
        with begun(self.folder / "runs", Planned(graph=graph), self.means.clock) as ledger:
            return run_pipeline(graph, arguments or {}, self.means, ledger)

    def _look(self, path: Path, type_: str) -> Input:
        content = path.read_bytes()
        return Input(digest=Digest.of(content), path=path, name=path.name, type=type_, size=len(content))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, EmbeddedEngine(tmp_path / "data", unpack_layer), "embedded")


@pytest.fixture(params=REAL)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "embedded":
        found: Place = request.getfixturevalue("place")
        return found
    client: ClientBench = request.getfixturevalue(request.param)
    return Place(tmp_path, client.engine, client.engine.name)


WRITE = component(
    "write",
    {"text": parameter(), "n": parameter("NUMBER_INTEGER")},
    {"file": artifact(), "twice": parameter("NUMBER_INTEGER")},
)
WRITES = shell(
    'set -e; echo "$0" > "$2"; echo " $(($1 + $1)).0 " > "$3"; echo said; id -u; touch /written',
    "{{$.inputs.parameters['text']}}",
    "{{$.inputs.parameters['n']}}",
    "{{$.outputs.artifacts['file'].path}}",
    "{{$.outputs.parameters['twice'].output_file}}",
)
READ = component("read", {"file": artifact(), "n": parameter("NUMBER_INTEGER")}, {"all": parameter()})
READS = shell(
    'set -e; echo "$0 $1"; { cat "$0"; echo "$2"; } > "$3"',
    "{{$.inputs.artifacts['file'].path}}",
    "{{$.inputs.artifacts['file'].uri}}",
    "{{$.inputs.parameters['n']}}",
    "{{$.outputs.parameters['all'].output_file}}",
)


def two_steps() -> dict[str, Any]:
    tasks = {
        "write": task("write", parameters={"text": outer("text"), "n": outer("n")}),
        "read": task(
            "read",
            "write",
            parameters={"n": given("write", "twice")},
            artifacts={"file": given_artifact("write", "file")},
        ),
    }
    inputs = {
        "text": parameter(defaultValue="hello", isOptional=True),
        "n": parameter("NUMBER_INTEGER", defaultValue=21.0),
    }
    outputs = {"parameters": {"all": selected("read", "all")}}
    return pipeline(
        tasks, {"write": WRITE, "read": READ}, {"write": WRITES, "read": READS}, inputs=inputs, outputs=outputs
    )


def test_values_and_artifacts_go_from_step_to_step_where_the_launcher_has_them(anywhere: Place) -> None:
    place = anywhere
    run = place.run(two_steps())
    assert (run.state, run.outputs) == (RunState.SUCCEEDED, {"all": "hello\n42\n"})
    digest = run.tasks["write"].artifacts["file"].digest
    at = f"mlpipeline/v2/artifacts/tried/{digest.hex}/file"
    assert place.lines["read"] == [f"/minio/{at} minio://{at}"]
    again = place.run(two_steps())
    assert all(each.cached for each in again.tasks.values())
    other = place.run(two_steps(), arguments={"text": "bye", "n": "1"})
    assert other.outputs == {"all": "bye\n2\n"}


def conditional() -> dict[str, Any]:
    def branch(label: str) -> dict[str, Any]:
        say = task("say", parameters={"text": constant(label)})
        dag = {"tasks": {"say": say}, "outputs": {"parameters": {"said": selected("say", "said")}}}
        return component(label, {"n": parameter("NUMBER_INTEGER")}, {"said": parameter()}, dag=dag)

    def called(label: str, condition: str) -> dict[str, Any]:
        return task(label, parameters={"n": outer("n")}, triggerPolicy={"condition": condition})

    test = "int(inputs.parameter_values['n']) > 3"
    ways = [{"producerSubtask": each, "outputParameterKey": "said"} for each in ("high", "low")]
    both = component(
        "",
        {"n": parameter("NUMBER_INTEGER")},
        {"said": parameter()},
        dag={
            "tasks": {"high": called("high", test), "low": called("low", f"!({test})")},
            "outputs": {"parameters": {"said": {"valueFromOneof": {"parameterSelectors": ways}}}},
        },
    )
    say = component("say", {"text": parameter()}, {"said": parameter()})
    says = shell(
        'printf "%s" "$0!" > "$1"', "{{$.inputs.parameters['text']}}", "{{$.outputs.parameters['said'].output_file}}"
    )
    tasks = {
        "both": task("both", parameters={"n": outer("n")}),
        "last": task("say", "both", parameters={"text": given("both", "said")}),
    }
    components = {"both": both, "high": branch("high"), "low": branch("low"), "say": say}
    return pipeline(
        tasks,
        components,
        {"say": says},
        inputs={"n": parameter("NUMBER_INTEGER")},
        outputs={"parameters": {"said": selected("last", "said")}},
    )


@pytest.mark.parametrize(("n", "taken", "left"), [(4, "high", "low"), (3, "low", "high")])
def test_a_condition_takes_one_way_and_what_it_gives_is_handed_on(place: Place, n: int, taken: str, left: str) -> None:
    run = place.run(conditional(), arguments={"n": n})
    assert run.outputs == {"said": f"{taken}!!"}
    assert run.tasks[f"both-{taken}-say"].state is State.SUCCEEDED
    assert run.tasks[f"both-{left}-say"].state is State.SKIPPED


def test_a_loop_does_its_tasks_for_each_item_and_what_they_give_is_a_list(place: Place) -> None:
    count = component(
        "count", {"word": parameter(), "number": parameter("NUMBER_DOUBLE")}, {"file": artifact(), "said": parameter()}
    )
    counts = shell(
        'echo "$0=$1" > "$2"; printf "%s" "$0-$1" > "$3"; echo "$2"',
        "{{$.inputs.parameters['word']}}",
        "{{$.inputs.parameters['number']}}",
        "{{$.outputs.artifacts['file'].path}}",
        "{{$.outputs.parameters['said'].output_file}}",
    )
    item = {
        name: outer("each", parameterExpressionSelector=f'parseJson(string_value)["{name}"]')
        for name in ("word", "number")
    }
    loop = component(
        "",
        {"each": parameter("STRUCT")},
        {"said": parameter("LIST"), "files": artifact(isArtifactList=True)},
        dag={
            "tasks": {"count": task("count", parameters=item)},
            "outputs": {
                "parameters": {"said": selected("count", "said")},
                "artifacts": {
                    "files": {"artifactSelectors": [{"producerSubtask": "count", "outputArtifactKey": "file"}]}
                },
            },
        },
    )
    join = component(
        "join", {"said": parameter("LIST"), "files": artifact(isArtifactList=True)}, {"all": parameter("STRUCT")}
    )
    # The whole of its inputs is told a program as JSON: of several artifacts it takes the paths from there.
    joins = shell(
        'echo "$1"; printf "{\\"said\\": %s}" "$0" > "$2"',
        "{{$.inputs.parameters['said']}}",
        "{{$}}",
        "{{$.outputs.parameters['all'].output_file}}",
    )
    items = '[{"word": "a", "number": 1}, {"word": "b", "number": 0.5}]'
    tasks = {
        "loop": task(
            "loop",
            parameterIterator={"itemInput": "each", "items": {"raw": items}},
            iteratorPolicy={"parallelismLimit": 1},
        ),
        "join": task(
            "join",
            "loop",
            parameters={"said": given("loop", "said")},
            artifacts={"files": given_artifact("loop", "files")},
        ),
    }
    run = place.run(
        pipeline(
            tasks,
            {"loop": loop, "count": count, "join": join},
            {"count": counts, "join": joins},
            outputs={"parameters": {"all": selected("join", "all")}},
        )
    )
    assert run.outputs == {"all": {"said": ["a-1", "b-0.5"]}}
    assert place.lines["loop-count[1]"] == [f"/minio/mlpipeline/v2/artifacts/tried/{run.id}/loop-count/1/file"]
    told = json.loads(place.lines["join"][0])
    files = told["inputs"]["artifacts"]["files"]["artifacts"]
    assert [each["type"]["schemaTitle"] for each in files] == ["system.Dataset", "system.Dataset"]
    assert told["inputs"]["parameterValues"] == {"said": ["a-1", "b-0.5"]}
    assert told["outputs"]["outputFile"] == "/tmp/kfp_outputs/output_metadata.json"


def test_an_exit_task_is_told_how_what_it_comes_after_has_failed(place: Place) -> None:
    say = component("say", {"text": parameter()})
    body = component("", dag={"tasks": {"fail": task("say", parameters={"text": constant("no")})}})
    tell = component("tell", {"status": parameter("TASK_FINAL_STATUS", isOptional=True)})
    tasks = {
        "exit": task("exit"),
        "tell": task(
            "tell",
            "exit",
            parameters={"status": status_of("exit")},
            triggerPolicy={"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
        ),
        "never": task("say", "exit", parameters={"text": constant("never")}),
    }
    executors = {"say": shell("exit 3"), "tell": shell('echo "$0"', "{{$.inputs.parameters['status']}}")}
    run = place.run(pipeline(tasks, {"exit": body, "say": say, "tell": tell}, executors))
    assert run.state is RunState.FAILED
    assert run.tasks["exit-fail"].exit_code == 3
    assert run.tasks["never"].state is State.BLOCKED
    status = json.loads(place.lines["tell"][0])
    assert (status["state"], status["pipelineJobResourceName"], status["error"]["code"]) == ("FAILED", run.id, 9)
    assert "exit-fail" in status["error"]["message"]


def test_a_task_that_failed_is_tried_again_and_told_which_try_it_is(place: Place) -> None:
    say = component("say")
    policy = {"maxRetryCount": 3, "backoffDuration": "0s", "backoffFactor": 1.0, "backoffMaxDuration": "1s"}
    script = 'echo "$KFP_RETRY_INDEX $KFP_POD_NAME"; test "$KFP_RETRY_INDEX" -ge 2'
    run = place.run(pipeline({"say": task("say", retryPolicy=policy)}, {"say": say}, {"say": shell(script)}))
    assert run.state is RunState.SUCCEEDED
    assert [line.partition(" ")[0] for line in place.lines["say"]] == ["0", "1", "2"]
    assert len({line.partition(" ")[2] for line in place.lines["say"]}) == 3


def test_what_a_program_answers_is_merged_and_read_by_the_next(place: Place) -> None:
    answer = {
        "parameterValues": {"n": 3.0},
        "artifacts": {
            "model": {"artifacts": [{"metadata": {"framework": "x<y", "layers": 2}}]},
            "scores": {"artifacts": [{"metadata": {"accuracy": 0.97, "of": "test"}}]},
            "image": {"artifacts": [{"uri": "oci://registry.test/model:1"}]},
        },
    }
    outputs = {
        "n": parameter("NUMBER_INTEGER"),
        "model": artifact("system.Model"),
        "scores": artifact("system.Metrics"),
        "image": artifact("system.Artifact"),
    }
    fits = shell(
        'echo weights > "$0"; echo "$1" > "$2"',
        "{{$.outputs.artifacts['model'].path}}",
        json.dumps(answer),
        "{{$.outputs.output_file}}",
    )
    take = component(
        "take",
        {name: artifact("system.Artifact") for name in ("model", "scores", "image")}
        | {"n": parameter("NUMBER_INTEGER")},
    )
    takes = shell(
        'echo "$0"; cat "$1"; echo "$2 $3"',
        "{{$}}",
        "{{$.inputs.artifacts['scores'].path}}",
        "{{$.inputs.artifacts['image'].uri}}",
        "{{$.inputs.parameters['n']}}",
    )
    tasks = {
        "fit": task("fit"),
        "take": task(
            "take",
            "fit",
            parameters={"n": given("fit", "n")},
            artifacts={name: given_artifact("fit", name) for name in ("model", "scores", "image")},
        ),
    }
    run = place.run(pipeline(tasks, {"fit": component("fit", {}, outputs), "take": take}, {"fit": fits, "take": takes}))
    assert run.state is RunState.SUCCEEDED
    told, scores = (
        json.loads(line) for line in "\n".join(place.lines["take"]).replace("}oci", "}\noci").splitlines()[:2]
    )
    assert told["inputs"]["artifacts"]["model"]["artifacts"][0]["metadata"] == {"framework": "x<y", "layers": 2}
    assert told["inputs"]["artifacts"]["image"]["artifacts"][0]["uri"] == "oci://registry.test/model:1"
    assert scores == {"accuracy": 0.97}
    assert place.lines["take"][-1].endswith("oci://registry.test/model:1 3")


def test_tasks_share_a_workspace_if_the_pipeline_asks_for_one(place: Place) -> None:
    leave = component("leave", {"at": parameter()}, {"there": parameter()})
    leaves = shell(
        'echo left > "$0/note"; printf "%s/note" "$0" > "$1"',
        "{{$.inputs.parameters['at']}}",
        "{{$.outputs.parameters['there'].output_file}}",
    )
    find = component("find", {"there": parameter()})
    tasks = {
        "leave": task("leave", parameters={"at": constant("{{$.workspace_path}}")}),
        "find": task("find", "leave", parameters={"there": given("leave", "there")}),
    }
    document = pipeline(
        tasks,
        {"leave": leave, "find": find},
        {"leave": leaves, "find": shell('cat "$0"', "{{$.inputs.parameters['there']}}")},
    )
    config = {"platforms": {"kubernetes": {"pipelineConfig": {"workspace": {"size": "1Gi"}}}}}
    run = place.run(document, config)
    assert run.state is RunState.SUCCEEDED
    assert place.lines["find"] == ["left"]
    assert all(each.attempt for each in place.run(document, config).tasks.values())


def test_a_file_of_this_machine_is_imported_and_known_by_its_content(place: Place) -> None:
    (place.folder / "rows.csv").write_text("a,b\n")
    imports = component("import", {"uri": parameter()}, {"artifact": artifact()})
    schema = {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}
    tasks = {
        "import": task("import", parameters={"uri": outer("from")}),
        "read": task(
            "read", "import", parameters={"n": constant(1.0)}, artifacts={"file": given_artifact("import", "artifact")}
        ),
    }
    executors = {
        "import": {"importer": {"artifactUri": {"runtimeParameter": "uri"}, "typeSchema": schema}},
        "read": READS,
    }
    document = pipeline(
        tasks,
        {"import": imports, "read": READ},
        executors,
        inputs={"from": parameter()},
        outputs={"parameters": {"all": selected("read", "all")}},
    )
    arguments = {"from": f"file://{place.folder}/rows.csv"}
    assert place.run(document, arguments=arguments).outputs == {"all": "a,b\n1\n"}
    assert place.run(document, arguments=arguments).tasks["read"].cached
    (place.folder / "rows.csv").write_text("c,d\n")
    assert place.run(document, arguments=arguments).outputs == {"all": "c,d\n1\n"}
    run = place.run(document, arguments={"from": "gs://bucket/rows.csv"})
    assert "gs:// is out of reach here" in run.tasks["import"].why
    assert "download it" in run.tasks["import"].hint


ECHOED = {
    "arguments_parameters": ({"param2": "world"}, {"echo": ["hello-world"]}),
    "critical__container_component_with_no_inputs": ({}, {"hello-world-container": ["hello world"]}),
    "essential__placeholder_with_if_placeholder_none_input_value": (
        {"input0": "given"},
        {"component-with-optional-inputs": ["--arg0 given --arg2 default value"]},
    ),
    "hello_world": ({}, {"echo": ["hello world"]}),
}


FOUND = [each for each in compiled_by_kfp() if each.id and each.id.partition("__")[2] in ECHOED] or compiled_by_kfp()


@pytest.mark.parametrize("path", FOUND)
def test_what_kfp_compiled_says_what_it_says_on_a_cluster(place: Place, path: Path) -> None:
    arguments, lines = ECHOED[path.stem.partition("valid__")[2]]
    run = place.run_text(path.read_text(), arguments)
    assert run.state is RunState.SUCCEEDED
    assert place.lines == lines


def test_what_is_not_done_here_is_refused_before_anything_runs(place: Place) -> None:
    document = pipeline({"say": task("say")}, {"say": component("say")}, {"say": {"resolver": {}}})
    with pytest.raises(UnsupportedError, match="a query"):
        place.run(document)
