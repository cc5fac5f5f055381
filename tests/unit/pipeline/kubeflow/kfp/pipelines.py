"""Twenty pipelines as kfp's users write them. `python pipelines.py` compiles each to a file beside this one."""
# ruff: noqa: ANN201, ARG001, B006, FBT001, FBT002, RUF013, SIM117, UP014 - kfp reads bare signatures, defaults and `with`s

from pathlib import Path
from typing import NamedTuple

from kfp import compiler, dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output, OutputPath, container_component

IMAGE = "registry.example/tools@sha256:" + "0" * 64


@container_component
def fetch(url: str, data: Output[Dataset]):
    return dsl.ContainerSpec(image=IMAGE, command=["curl"], args=["-o", data.path, url])


@container_component
def split(rows: Input[Dataset], train: Output[Dataset], test: Output[Dataset], share: float = 0.2):
    return dsl.ContainerSpec(image=IMAGE, command=["split"], args=[rows.path, train.path, test.path, share])


@container_component
def fit(train: Input[Dataset], model: Output[Model], depth: int = 4):
    return dsl.ContainerSpec(image=IMAGE, command=["fit"], args=[train.path, model.uri, f"--depth={depth}"])


@container_component
def evaluate(model: Input[Model], test: Input[Dataset], scores: Output[Metrics], accuracy: OutputPath(float)):
    return dsl.ContainerSpec(image=IMAGE, command=["evaluate"], args=[model.path, test.uri, scores.path, accuracy])


@container_component
def count(number: OutputPath(int)):
    return dsl.ContainerSpec(image=IMAGE, command=["count"], args=[number])


@container_component
def name(word: OutputPath(str)):
    return dsl.ContainerSpec(image=IMAGE, command=["name"], args=[word])


@container_component
def listing(numbers: OutputPath(list[int])):
    return dsl.ContainerSpec(image=IMAGE, command=["listing"], args=[numbers])


@container_component
def double(number: int, doubled: OutputPath(int)):
    return dsl.ContainerSpec(image=IMAGE, command=["double"], args=[number, doubled])


@container_component
def add(numbers: list, total: OutputPath(int)):
    return dsl.ContainerSpec(image=IMAGE, command=["add"], args=[numbers, total])


@container_component
def say(text: str):
    return dsl.ContainerSpec(image=IMAGE, command=["echo"], args=[text])


@container_component
def repeat(text: str, said: OutputPath(str)):
    return dsl.ContainerSpec(image=IMAGE, command=["repeat"], args=[text, said])


@container_component
def tell(status: dsl.PipelineTaskFinalStatus):
    return dsl.ContainerSpec(image=IMAGE, command=["tell"], args=[status])


@container_component
def choose(models: Input[list[Model]], best: Output[Model]):
    return dsl.ContainerSpec(image=IMAGE, command=["choose"], args=["{{$}}"])


@container_component
def every(
    whole: int = 3,
    half: float = 0.5,
    word: str = "a",
    sure: bool = True,
    several: list = [1, "b"],
    named: dict = {"a": 1, "b": [True]},
):
    return dsl.ContainerSpec(image=IMAGE, command=["every"], args=[whole, half, word, sure, several, named])


@container_component
def perhaps(text: str = "nothing", data: Input[Dataset] = None):
    return dsl.ContainerSpec(
        image=IMAGE,
        command=["perhaps"],
        args=[
            dsl.IfPresentPlaceholder(input_name="text", then=["--text", text], else_=["--none"]),
            dsl.IfPresentPlaceholder(input_name="data", then=["--data", data.path]),
            dsl.ConcatPlaceholder(
                ["--all=", dsl.IfPresentPlaceholder(input_name="text", then=text, else_="none"), "!"]
            ),
        ],
    )


@dsl.pipeline
def chain(url: str = "https://example.org/rows.csv"):
    rows = fetch(url=url)
    parts = split(rows=rows.outputs["data"])
    fitted = fit(train=parts.outputs["train"], depth=6)
    evaluate(model=fitted.outputs["model"], test=parts.outputs["test"])


@dsl.pipeline
def parameters(
    whole: int,
    several: list,
    half: float = 0.25,
    word: str = "it's",
    sure: bool = False,
    named: dict = {"c": 2},
):
    every(whole=whole, half=half, word=word, sure=sure, several=several, named=named)
    every()
    every(whole=-1, half=2.0, word="", sure=False, several=[], named={"x": {"y": [1.5]}})


@dsl.pipeline
def branch(word: str = "a"):
    with dsl.If(word == "a"):
        say(text="one")
    number = count()
    with dsl.If(number.outputs["number"] >= 3):
        say(text=word)


@dsl.pipeline
def branches(target: float = 0.9):
    number = count()
    with dsl.If(number.outputs["number"] < 3):
        say(text="few")
    with dsl.Elif(number.outputs["number"] < target):
        say(text="some")
    with dsl.Else():
        say(text="many")


@dsl.pipeline
def nested_branches(word: str, sure: bool):
    number = count()
    with dsl.If(number.outputs["number"] != 3):
        with dsl.If(word == "b"):
            say(text="b")
        with dsl.Else():
            inner = name()
            with dsl.If(inner.outputs["word"] == word):
                say(text=inner.outputs["word"])
    with dsl.Else():
        with dsl.If(sure == True):  # noqa: E712 - kfp's conditions are comparisons
            double(number=number.outputs["number"])


@dsl.pipeline
def loop():
    number = count()
    with dsl.ParallelFor([1, 2, 3], parallelism=2) as one:
        double(number=one)
        double(number=number.outputs["number"])


@dsl.pipeline
def loop_of_dicts():
    with dsl.ParallelFor([{"number": 1, "word": 2}, {"number": 3, "word": 4}]) as one:
        double(number=one.number)
        double(number=one.word)


@dsl.pipeline
def loop_over_values(given: list[int]):
    made = listing()
    with dsl.ParallelFor(given) as one:
        double(number=one)
        with dsl.ParallelFor(made.outputs["numbers"]) as other:
            double(number=other)
            double(number=one)


@dsl.pipeline
def nested_loops(word: str):
    number = count()
    with dsl.ParallelFor(["a", "b"]) as letter:
        said = repeat(text=letter)
        with dsl.ParallelFor([1.5, 2.5]) as _:
            say(text=said.outputs["said"])
            say(text=word)
            double(number=number.outputs["number"])


@dsl.pipeline
def collected(url: str) -> NamedTuple("Given", total=int, models=list[Model]):
    rows = fetch(url=url)
    with dsl.ParallelFor([1, 2]) as depth:
        doubled = double(number=depth)
        fitted = fit(train=rows.outputs["data"], depth=depth)
        with dsl.ParallelFor([3, 4]) as other:
            inner = double(number=other)
    total = add(numbers=dsl.Collected(doubled.outputs["doubled"]))
    add(numbers=dsl.Collected(inner.outputs["doubled"]))
    choose(models=dsl.Collected(fitted.outputs["model"]))
    given = NamedTuple("Given", total=int, models=list[Model])
    return given(total=total.outputs["total"], models=dsl.Collected(fitted.outputs["model"]))


@dsl.pipeline
def exit_handler(url: str):
    with dsl.ExitHandler(tell()):
        rows = fetch(url=url)
        split(rows=rows.outputs["data"])
    other = say(text=url)
    with dsl.ExitHandler(say(text="done")):
        say(text="in")
    other.after(count())


@dsl.pipeline
def retries(url: str):
    fetch(url=url).set_retry(3, backoff_duration="5s", backoff_factor=1.5, backoff_max_duration="60s")
    fetch(url=url).set_retry(1)
    fetch(url=url).set_caching_options(False)


@dsl.pipeline
def resources(url: str):
    task = fetch(url=url)
    task.set_cpu_limit("2").set_memory_limit("4Gi").set_env_variable("OMP_NUM_THREADS", "2").set_env_variable("A", "b")
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2)
    fetch(url=url).set_cpu_limit("0.5").set_memory_limit("512Mi")


@dsl.pipeline
def after():
    first = say(text="1")
    second = say(text="2").after(first)
    with dsl.ParallelFor(["a"]) as letter:
        looped = say(text=letter).after(second)
    say(text="3").after(looped, first)


@dsl.pipeline
def outputs(url: str) -> NamedTuple("Given", accuracy=float, model=Model):
    rows = fetch(url=url)
    fitted = fit(train=rows.outputs["data"])
    scores = evaluate(model=fitted.outputs["model"], test=rows.outputs["data"])
    given = NamedTuple("Given", accuracy=float, model=Model)
    return given(accuracy=scores.outputs["accuracy"], model=fitted.outputs["model"])


@dsl.pipeline
def optional(url: str, text: str = None):
    perhaps()
    rows = fetch(url=url)
    perhaps(text=text, data=rows.outputs["data"])


@dsl.pipeline
def one_of(url: str) -> str:
    rows = fetch(url=url)
    word = name()
    with dsl.If(word.outputs["word"] == "deep"):
        deep = fit(train=rows.outputs["data"], depth=9)
        said = repeat(text="deep")
    with dsl.Else():
        flat = fit(train=rows.outputs["data"], depth=1)
        other = repeat(text="flat")
    evaluate(model=dsl.OneOf(deep.outputs["model"], flat.outputs["model"]), test=rows.outputs["data"])
    answer = dsl.OneOf(said.outputs["said"], other.outputs["said"])
    with dsl.If(answer == "deep"):
        say(text=answer)
    return answer


@dsl.pipeline
def imported(rows: str):
    taken = dsl.importer(artifact_uri=rows, artifact_class=Dataset)
    split(rows=taken.output)
    constant = dsl.importer(artifact_uri="s3://bucket/model", artifact_class=Artifact, metadata={"from": "2025"})
    evaluate(model=constant.output, test=taken.output)


@dsl.pipeline
def texts(url: str, number: int = 3):
    counted = count()
    said = repeat(text=f"{number} of {url}!")
    with dsl.If(counted.outputs["number"] == number):
        say(text=f"counted {counted.outputs['number']}")
        say(text=said.outputs["said"])


@dsl.pipeline
def loop_with_branches(given: list[int], word: str):
    number = count()
    with dsl.If(word != ""):
        with dsl.ParallelFor(given) as one:
            with dsl.If(one > number.outputs["number"]):
                double(number=one)
            with dsl.Elif(one == 0):
                say(text=word)
            with dsl.Else():
                say(text="less")


PIPELINES = (
    after, branch, branches, chain, collected, exit_handler, imported, loop, loop_of_dicts, loop_over_values,
    loop_with_branches, nested_branches, nested_loops, one_of, optional, outputs, parameters, resources, retries, texts,
)  # fmt: skip

if __name__ == "__main__":
    for one in PIPELINES:
        compiler.Compiler().compile(one, str(Path(__file__).with_name(f"{one.name}.yaml")))
