"""What a step is, or says, that Kubeflow could not do."""

from __future__ import annotations

from collections.abc import Iterator

from tiffin.pipeline.graph import (
    Action,
    Command,
    Constant,
    Function,
    Graph,
    IfGiven,
    Importer,
    InputPath,
    Joined,
    OutputPath,
    Step,
    Word,
)
from tiffin.pipeline.kubeflow.images import Images
from tiffin.pipeline.kubeflow.imports import ADDRESSES, is_address
from tiffin.pipeline.kubeflow.problem import Problem

MARK = "{{$"
"""What placeholders begin with; the launcher takes everything that does for one."""

_STRUCTURES = ('{"IfPresent"', '{"Concat"')


def in_steps(graph: Graph, images: Images) -> Iterator[Problem]:
    """Problems of the steps that tasks call."""
    called = {task.step for task in graph.tasks()}
    for step in (step for name, step in graph.steps.items() if name in called):
        yield from _doing(step, images)
        for name, port in step.outputs.items():
            if port.many:
                hint = "give one folder of them"
                yield Problem(message=f"{step.name} gives a list of files: {name}", hint=hint, place=step.place)


def _doing(step: Step, images: Images) -> Iterator[Problem]:
    if isinstance(step.does, Action):
        message = f"{step.name} is what tiffin does itself ({step.does.name}), and there is no tiffin in the cluster"
        hint = "leave it out of what is compiled: let the pipeline give the model, and `tiffin release` do the rest"
        yield Problem(message=message, hint=hint, place=step.place)
    elif isinstance(step.does, Importer):
        uri = step.does.uri
        if isinstance(uri, Constant) and not is_address(uri.value):
            hint = f"name an address that begins with {', '.join(ADDRESSES)}"
            message = f"Kubeflow's launcher fetches no files from {uri.value} ({step.name})"
            yield Problem(message=message, hint=hint, place=step.place)
    else:
        yield from _image(step, images)
        if isinstance(step.does, Function) and step.does.image:
            message = f"{step.name} is Python in an image of its own, into which nothing brings its code on a cluster"
            hint = "leave image out, so that it runs in the project's environment, or make it a command of that image"
            yield Problem(message=message, hint=hint, place=step.place)
        if isinstance(step.does, Command):
            yield from _command(step, step.does)


def _image(step: Step, images: Images) -> Iterator[Problem]:
    image = images.of(step)
    if "@sha256:" in image:
        return
    if not image:
        message = f"{step.name} runs in the project's environment, which no registry has yet"
        yield Problem(message=message, hint="say where it goes: `--push REGISTRY/NAME`", place=step.place)
        return
    message = f"{step.name} names its image by a tag, {image}; Kubeflow's cache would not see it change"
    hint = f'write image="{image.split("@")[0]}@sha256:…"; the registry says which: `tiffin inspect {image}`'
    yield Problem(message=message, hint=hint, place=step.place)


def _command(step: Step, does: Command) -> Iterator[Problem]:
    def problem(message: str, hint: str) -> Problem:
        return Problem(message=f"{step.name}: {message}", hint=hint, place=step.place)

    if not does.argv or not isinstance(does.argv[0], str):
        yield problem("the program must be written down", "begin the command with the name of a program")
    for said in _words(does.argv):
        if isinstance(said, str) and (MARK in said or said.startswith(_STRUCTURES)):
            yield problem(
                f"Kubeflow would take {said!r} for a placeholder", "write it to a file, or pass it as a value"
            )
        elif isinstance(said, InputPath) and step.inputs[said.input].many:
            yield problem(f"a command is given no paths of a list ({said.input})", "read the list in a Python step")
        elif isinstance(said, OutputPath) and said.uri and step.outputs[said.output].is_parameter:
            yield problem(f"a value has no address ({said.output})", "name the file of it: out(…)")


def _words(words: tuple[str | Word, ...]) -> Iterator[str | Word]:
    for said in words:
        yield said
        if isinstance(said, Joined):
            yield from _words(said.words)
        elif isinstance(said, IfGiven):
            yield from _words((*said.then, *said.otherwise))
