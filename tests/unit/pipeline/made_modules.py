"""Modules of steps, made by chance: whatever is in them can be run, and each number in them is there once."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from tiffin_pipeline.steps import Step

IMPORTS = "import typing\nfrom tiffin_pipeline import command, pipeline, step\n"


class Made:
    """A module: its text, the numbers in it, and what uses what."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - the same ones each time
        self.numbers = itertools.count(1_000_001)
        self.calls: list[tuple[str, str]] = []
        """Of each thing its name, and how it is asked for its number."""
        self.used: dict[str, set[str]] = {}
        self.owner: dict[int, str] = {}
        self.texts: dict[str, str] = {}
        kinds: list[Callable[[str], str]] = [
            self.constant, self.helper, self.closure, self.kind, self.wrapped, self.changing, self.hinted, self.table,
            self.step, self.step, self.step,
        ]  # fmt: skip
        for index in range(self.chance.randint(5, 14)):
            self.add(self.chance.choice(kinds), f"n{index}")
        self.add(self.step, "target")
        for kind in (self.pipeline, self.command):
            if self.chance.random() < 0.8:
                self.add(kind, kind.__name__ + "_of_all")

    @property
    def text(self) -> str:
        return IMPORTS + "\n\n".join(self.texts.values()) + "\n"

    def add(self, kind: Callable[[str], str], name: str) -> None:
        self.used[name] = set()
        before = next(self.numbers)
        self.texts[name] = kind(name)
        for number in range(before + 1, next(self.numbers)):
            self.owner[number] = name

    def number(self) -> int:
        return next(self.numbers)

    def some(self, name: str) -> str:
        """A number, with those of none, one or two others."""
        found = self.chance.sample(self.calls, min(len(self.calls), self.chance.choice((0, 1, 1, 2))))
        self.used[name] |= {other for other, _ in found}
        return " + ".join([str(self.number()), *(call for _, call in found)])

    def asked(self, name: str, call: str) -> None:
        self.calls.append((name, call))

    def constant(self, name: str) -> str:
        text = f"{name} = {self.some(name)}"
        self.asked(name, name)
        return text

    def helper(self, name: str) -> str:
        text = f"def {name}(x={self.some(name)}):\n    # {self.number()}\n    return x + {self.some(name)}"
        self.asked(name, f"{name}()")
        return text

    def closure(self, name: str) -> str:
        inner = f"    def inner():\n        return (lambda: {self.some(name)})()\n"
        text = f"def {name}():\n{inner}    return inner() + {self.number()}"
        self.asked(name, f"{name}()")
        return text

    def kind(self, name: str) -> str:
        value = f"    value = {self.some(name)}\n"
        text = f"class {name}:\n{value}    def get(self):\n        return self.value + {self.some(name)}"
        self.asked(name, f"{name}().get()")
        return text

    def wrapped(self, name: str) -> str:
        wrap = f"def {name}_wrap(f):\n    def inner(*a):\n        return f(*a) + {self.some(name)}\n    return inner\n"
        text = f"{wrap}@{name}_wrap\ndef {name}():\n    return {self.some(name)}"
        self.asked(name, f"{name}()")
        return text

    def changing(self, name: str) -> str:
        inner = f"    global {name}_now\n    {name}_now = {self.some(name)}\n    return {name}_now"
        text = f"{name}_now = {self.number()}\ndef {name}():\n{inner}"
        self.asked(name, f"{name}()")
        return text

    def hinted(self, name: str) -> str:
        kind = f"class {name}_kind:\n    value = {self.some(name)}\n"
        text = f'{kind}def {name}(x: "{name}_kind" = None):\n    return typing.get_type_hints({name})["x"].value'
        self.asked(name, f"{name}()")
        return text

    def table(self, name: str) -> str:
        text = f"{name} = {{'step': lambda: {self.some(name)}}}"
        self.asked(name, f"{name}['step']()")
        return text

    def step(self, name: str) -> str:
        how = self.chance.choice(("", f"(cpus={self.number()}, env={{'A': '{self.number()}'}})"))
        given = self.number()
        text = (
            f"@step{how}\ndef {name}(a: int = {given}) -> int:\n    # {self.number()}\n    return a + {self.some(name)}"
        )
        self.asked(name, f"{name}()")
        return text

    def pipeline(self, name: str) -> str:
        steps = [one for one, text in self.texts.items() if text.startswith("@step")]
        self.used[name] |= set(steps)
        lines = "".join(f"    {one}(a={self.number()})\n" for one in steps)
        return f"@pipeline\ndef {name}(depth: int = {self.number()}):\n{lines}"

    def command(self, name: str) -> str:
        return f'{name} = command("all", "echo", "{self.number()}")'

    def reached(self) -> set[str]:
        """What the target uses, by others as well; and what is used by all that is no step."""
        found = {"target"} | {name for name, text in self.texts.items() if not is_optional(text)}
        while more := set().union(*(self.used[name] for name in found)) - found:
            found |= more
        return found


def is_optional(text: str) -> bool:
    return text.startswith(("@step", "@pipeline")) or "= command(" in text


def answer(text: str) -> Any:
    """What the target of a module gives."""
    names: dict[str, Any] = {"__name__": "pipeline"}
    exec(compile(text, "/code/pipeline.py", "exec"), names)  # noqa: S102 - it was made here
    target = names["target"]
    assert isinstance(target, Step)
    return target.function()
