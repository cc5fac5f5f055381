"""Steps: functions under `@step`, commands, and what tiffin itself does. In a pipeline a call of one is a task."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Callable, Dict, Generic, Mapping, Optional, Tuple, TypeVar, Union, overload

from tiffin_pipeline.artifacts import Artifact, Metrics, Status
from tiffin_pipeline.errors import PipelineError, Place, a, caller, known, meant
from tiffin_pipeline.functions import is_function, is_plain, parameters
from tiffin_pipeline.handles import Call, positive, retries, whole
from tiffin_pipeline.ports import Port, Ports, default_of, kind_of, place_of, ports_of
from tiffin_pipeline.tracing import Trace, current
from tiffin_pipeline.words import Word

if TYPE_CHECKING:
    from typing_extensions import TypedDict, Unpack

    class Options(TypedDict, total=False):
        """What a step may use, and how it is done: see docs/reference/pipeline.md."""

        cpus: float
        memory: Union[str, int]
        gpus: int
        retries: int
        timeout: float
        env: Mapping[str, str]
        network: bool
        cache: bool
        image: str


R = TypeVar("R")
_NAME = re.compile("[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_BYTES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_OPTIONS = ("cpus", "memory", "gpus", "retries", "timeout", "env", "network", "cache", "image")


class Step(Generic[R]):
    """What can be done, by whoever calls it: what it takes and gives, and what it may use.

    Called in a pipeline it gives a `Call`; anywhere else its function simply runs, and gives what it returns.
    """

    def __init__(
        self, name: str, does: Dict[str, Any], ports: Ports, place: Place, function: "Optional[Callable[..., R]]" = None
    ) -> None:
        """Keep what the tool reads, and the function of one that has it."""
        self.name = name
        self.does = does
        self.inputs, self.outputs, self.returned = ports
        self.place = place
        self._function = function
        self.settings: Dict[str, Any] = {}
        self.of_each_task: Dict[str, Any] = {}
        self.__doc__ = function.__doc__ if function else None
        self.__name__ = name

    @property
    def function(self) -> Callable[..., R]:
        """The function as it was written; raises PipelineError for a step that has none."""
        if self._function is None:
            message = "step `%s` is %s, and no function" % (self.name, a(self.does["kind"]))
            raise PipelineError(message, "use it in a function under `@pipeline`, and `tiffin pipeline run` that")
        return self._function

    def __call__(self, *args: Any, **kwargs: Any) -> Call:
        """Note a task in the pipeline that is being written; where there is none, run the function."""
        trace = current()
        if trace is not None:
            return trace.call(self, self.sources(trace, args, kwargs))
        result: Any = direct(self, args, kwargs)
        return result  # type: ignore[no-any-return]

    def sources(self, trace: Trace, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Dict[str, Any]:
        """Where each input of a call comes from; raises PipelineError for what does not fit."""
        what = "step `%s`" % self.name
        given = bound(what, self.inputs, self.outputs, args, kwargs)
        return {name: trace.source(one, self.inputs[name], "%s: `%s`" % (what, name)) for name, one in given.items()}

    def document(self, root: str) -> Dict[str, Any]:
        """As the tool reads it."""
        document: Dict[str, Any] = {"name": self.name, "does": self.does}
        for key, ports in (("inputs", self.inputs), ("outputs", self.outputs)):
            if ports:
                document[key] = {name: port.document() for name, port in ports.items()}
        document.update(self.settings)
        if self.__doc__:
            document["description"] = self.__doc__.strip().partition("\n")[0]
        return {**document, "place": self.place.document(root)}

    def __repr__(self) -> str:
        return "<step %s>" % self.name


def bound(
    what: str, inputs: Mapping[str, Port], outputs: Mapping[str, Port], args: Tuple[Any, ...], kwargs: Dict[str, Any]
) -> Dict[str, Any]:
    """What a call gives, by name, without what is None; raises PipelineError for what is unknown, double or missing."""
    names = [name for name, port in inputs.items() if port.kind is not Status]
    if len(args) > len(names):
        raise PipelineError("%s takes %d inputs, and is given %d" % (what, len(names), len(args)), _takes(names))
    given = dict(zip(names, args))  # noqa: B905 - `strict` came with Python 3.10
    for name, value in kwargs.items():
        if name in outputs and name not in inputs:
            raise PipelineError("%s gives `%s`, and is given it" % (what, name), "read it: `called.%s`" % name)
        if name not in inputs:
            raise PipelineError("%s has no input `%s`" % (what, name), meant(name, names))
        if name in given:
            raise PipelineError("%s is given `%s` twice" % (what, name), "give it once, by its name")
        given[name] = value
    given = {name: value for name, value in given.items() if value is not None}
    missing = [name for name, port in inputs.items() if not port.optional and name not in given]
    waits = [name for name in missing if inputs[name].kind is Status]
    if waits:
        hint = "end a pipeline with it: `with on_exit(…):`"
        raise PipelineError("%s is told by `%s` how something ended, and stands by itself" % (what, waits[0]), hint)
    if missing:
        raise PipelineError("%s is not given %s" % (what, known(missing)), "add `%s=…`" % missing[0])
    return given


def _takes(names: "list[str]") -> str:
    return "its inputs are: %s" % known(names)


def direct(step: "Step[Any]", args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Any:
    """Run a step's function here, with paths for its files and folders; metrics that it logs are written."""
    import inspect

    arguments = inspect.signature(step.function).bind(*args, **kwargs).arguments
    ports = {**step.outputs, **step.inputs}
    given = {name: artifacts(ports[name], value) for name, value in arguments.items()}
    result = step.function(**given)
    for metrics in given.values():
        if isinstance(metrics, Metrics) and str(metrics.path) != ".":
            metrics.write()
    return result


def artifacts(port: Port, value: Any) -> Any:
    """A path as the artifact that a step asks for; everything else as it is."""
    if port.many and isinstance(value, (list, tuple)):
        return [artifacts(port._replace(many=False), one) for one in value]
    if port.is_parameter or isinstance(value, Artifact) or not isinstance(value, (str, os.PathLike)):
        return value
    return port.kind(value)


@overload
def step(function: Callable[..., R]) -> Step[R]: ...
@overload
def step(**options: "Unpack[Options]") -> Callable[[Callable[..., R]], Step[R]]: ...
def step(function: Any = None, **options: Any) -> Any:
    """Make a step of a function: `@step`, or `@step(cpus=2, memory="2Gi", retries=2, timeout=600, network=True)`."""
    if function is not None:
        return _of_function(function, options)
    return lambda function: _of_function(function, options)


def _of_function(function: Callable[..., R], options: Dict[str, Any]) -> Step[R]:
    name = getattr(function, "__name__", "")
    if not is_function(function) or "<" in function.__qualname__ or "." in function.__qualname__:
        hint = "write it as `def` at the top level of the file, so that a container can import it"
        raise PipelineError("`@step` stands above %s" % (name or repr(function)), hint)
    what, place = "step `%s`" % name, place_of(function)
    if not is_plain(function):
        raise PipelineError("%s is an async function or a generator" % what, "write an ordinary function", place)
    for parameter in parameters(function):
        if any(isinstance(default, (list, dict, set)) for default in parameter.default or ()):
            message = "%s: `%s` has a default that calls would share" % (what, parameter.name)
            raise PipelineError(message, "write `= None` and make it in the function, or a tuple", place)
    does = {"kind": "function", "module": function.__module__, "name": name}
    made = Step(name, does, ports_of(function, what), place, function)
    return with_options(made, options)


def command(
    name: str,
    *argv: Union[str, Word],
    inputs: Optional[Mapping[str, Any]] = None,
    outputs: Optional[Mapping[str, Any]] = None,
    **options: "Unpack[Options]",
) -> "Step[Any]":
    """Make a step of any program, in any image: its words, with `value`, `path` and `out` for what it takes and gives.

    `inputs` and `outputs` have a type for each name, or, for a parameter, the value that it has by default.
    """
    what, place = "command `%s`" % name, caller()
    if not _NAME.fullmatch(str(name)):
        raise PipelineError("a command cannot be called %r" % (name,), "use small letters, digits, - and _", place)
    ports = Ports(_declared(inputs, what, place), _declared(outputs, what, place), {})
    for output, port in ports.outputs.items():
        if port.optional:
            raise PipelineError("%s: output `%s` has no default" % (what, output), "give its type: `Dataset`", place)
    words = [word.document if isinstance(word, Word) else word for word in argv]
    _check_words(what, words, ports, place)
    return with_options(Step(name, {"kind": "command", "argv": words}, ports, place), dict(options))


def _declared(types: Optional[Mapping[str, Any]], what: str, place: Place) -> Dict[str, Port]:
    ports: Dict[str, Port] = {}
    for name, given in (types or {}).items():
        says = "%s: `%s`" % (what, name)
        if isinstance(given, (int, float, str, bool)):
            port = kind_of(type(given), says, place)
            ports[name] = port._replace(optional=True, default=default_of(port, given, says, place))
        else:
            ports[name] = kind_of(given, says, place)
        if ports[name].many or ports[name].written or not name.isidentifier():
            hint = 'name them as in Python, and give each one type: `inputs={"rows": Dataset}`'
            raise PipelineError("%s cannot be that" % says, hint, place)
    return ports


def _check_words(what: str, words: "list[Any]", ports: Ports, place: Place) -> None:
    if not words or words[0] == "":
        raise PipelineError("%s has no words" % what, 'name the program: `command("fetch", "curl", …)`', place)
    used = set()
    for word in _flat(words):
        if isinstance(word, str):
            continue
        if not isinstance(word, dict):
            raise PipelineError("%s: %r is no word" % (what, word), "write texts, `value`, `path` and `out`", place)
        of, name = ("outputs", word["output"]) if "output" in word else ("inputs", word["input"])
        declared: Dict[str, Port] = getattr(ports, of)
        if name not in declared:
            raise PipelineError("%s: `%s` is none of its %s" % (what, name, of), "declare it: `%s={…}`" % of, place)
        if of == "inputs" and declared[name].is_parameter is not (word["word"] == "value"):
            right = "value" if declared[name].is_parameter else "path"
            raise PipelineError(
                "%s: `%s` is %s" % (what, name, a(declared[name].type)), 'write `%s("%s")`' % (right, name), place
            )
        used.add(name)
    unsaid = [name for name in ports.outputs if name not in used]
    if unsaid:
        raise PipelineError(
            "%s is not told where to write `%s`" % (what, unsaid[0]), 'add `out("%s")`' % unsaid[0], place
        )


def _flat(words: "list[Any]") -> "list[Any]":
    return [
        inner
        for word in words
        for inner in (_flat(word["words"]) if isinstance(word, dict) and "words" in word else [word])
    ]


def action(name: str, inputs: Dict[str, Port], outputs: Dict[str, Port], *, cached: bool) -> "Step[Any]":
    """Make a step of what tiffin itself does, outside of any container."""
    made: Step[Any] = Step(name, {"kind": "action", "name": name}, Ports(inputs, outputs, {}), caller())
    made.settings.update({"network": True} if not cached else {})
    made.settings.update({} if cached else {"cached": False})
    return made


def with_options(made: Step[R], options: Dict[str, Any]) -> Step[R]:
    """Give a step what was asked for; raises PipelineError for what cannot be."""
    what = "step `%s`" % made.name
    for name in options:
        if name not in _OPTIONS:
            raise PipelineError("%s: there is no option `%s`" % (what, name), meant(name, _OPTIONS), made.place)
    try:
        made.settings.update(_settings(options))
        made.of_each_task.update(_of_each_task(options))
    except PipelineError as error:
        raise PipelineError("%s: %s" % (what, error.message), error.hint, made.place) from None
    if options.get("image"):
        made.does["image"] = options["image"]
    return made


def _settings(options: Dict[str, Any]) -> Dict[str, Any]:
    settings: Dict[str, Any] = {}
    resources: Dict[str, Any] = {}
    if "cpus" in options:
        resources["cpus"] = positive("`cpus`", options["cpus"], "`cpus=2`")
    if "memory" in options:
        resources["memory"] = bytes_of(options["memory"])
    if options.get("gpus"):
        resources["gpus"] = whole("`gpus`", options["gpus"], "`gpus=1`")
    if resources:
        settings["resources"] = resources
    env = options.get("env") or {}
    if not isinstance(env, Mapping) or not all(isinstance(one, str) for pair in env.items() for one in pair):
        raise PipelineError("`env` is not texts by name", 'write `env={"OMP_NUM_THREADS": "2"}`')
    settings.update({"env": dict(env)} if env else {})
    settings.update({"network": True} if options.get("network") else {})
    settings.update({"cached": False} if not options.get("cache", True) else {})
    if not isinstance(options.get("image", ""), str):
        raise PipelineError("`image` is no text", 'write a reference: `image="registry/name:tag"`')
    return settings


def _of_each_task(options: Dict[str, Any]) -> Dict[str, Any]:
    tasks: Dict[str, Any] = {}
    if options.get("retries"):
        tasks["retry"] = retries(options["retries"])
    if options.get("timeout") is not None:
        tasks["timeout"] = positive("`timeout`", options["timeout"], "`timeout=600`, in seconds")
    return tasks


def bytes_of(text: object) -> int:
    """Bytes of `2Gi`, `500M` or a plain number; raises PipelineError for others."""
    match = re.fullmatch("([0-9]+(?:[.][0-9]+)?)(%s)" % "|".join(_BYTES), str(text))
    number = float(match[1]) * _BYTES[match[2]] if match else 0
    if number < 1:
        raise PipelineError("`memory` cannot be %r" % (text,), 'give bytes, as in `memory="2Gi"` or "500M"')
    return int(number)
