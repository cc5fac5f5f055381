"""Read a Dockerfile: its instructions with their lines, words, flags and substituted variables. Pure.

Reference: docs.docker.com, "Dockerfile reference" (parser directives, line continuation, shell and exec form,
environment replacement). Here-documents are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

import msgspec

from tiffin.errors import ConfigError, UnsupportedError

_EXPANDED = {"ADD", "ARG", "COPY", "ENV", "EXPOSE", "FROM", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
"""Instructions whose variables docker replaces; those of RUN are the shell's, which knows the same ones."""
_OTHERS = {"CMD", "ENTRYPOINT", "HEALTHCHECK", "MAINTAINER", "ONBUILD", "RUN", "SHELL"}
_DIRECTIVE = re.compile(r"#\s*([A-Za-z]+)\s*=\s*(\S+)\s*")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?\s+")
_HEREDOC = re.compile(r"(?:^|\s)\d*<<-?\s*[\"']?[A-Za-z_]")
_PAIR = re.compile(r"""([^\s=]+)=((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])*)""")


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction: where it begins, its name in capitals, its flags and what follows them on all its lines."""

    line: int
    written: str
    name: str
    text: str
    flags: dict[str, str] = {}
    words: tuple[str, ...] | None = None
    """The words of the exec form, `["python", "app.py"]`; None for the shell form."""

    @property
    def shown(self) -> str:
        """The instruction on one line, for people."""
        return " ".join(self.written.split())


def parse_dockerfile(text: str, where: str) -> list[Instruction]:
    """Read every instruction; raises ConfigError or UnsupportedError with file and line."""
    lines = text.removeprefix("\ufeff").splitlines()
    found = [_instruction(said, line, where) for line, said in _joined(lines, _escape(lines, where))]
    if not any(one.name == "FROM" for one in found):
        raise ConfigError(f"{where}: no FROM", "a Dockerfile begins with `FROM image`")
    return found


def _joined(lines: list[str], escape: str) -> Iterator[tuple[int, str]]:
    """Join continued lines; each comes with the number of its first."""
    begun, parts = 0, [""]
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#") or (not line.strip()):
            continue  # also inside a continued instruction
        begun = begun or number
        body = line.rstrip()
        if body.endswith(escape):
            parts.append(body[:-1])
            continue
        if said := "".join([*parts, body]).strip():
            yield begun, said
        begun, parts = 0, [""]
    if said := "".join(parts).strip():
        yield begun, said


def _escape(lines: list[str], where: str) -> str:
    """The character that continues a line: a backslash, unless a directive at the very top says a backtick."""
    for line in lines:
        found = _DIRECTIVE.fullmatch(line.strip())
        if not found:
            break
        if found[1].lower() == "escape":
            if found[2] not in {"\\", "`"}:
                raise ConfigError(f"{where}: 1: escape is `\\` or a backtick, not {found[2]!r}")
            return found[2]
    return "\\"


def _instruction(text: str, line: int, where: str) -> Instruction:
    first, *others = text.split(None, 1)
    name, rest = first.upper(), others[0] if others else ""
    if name not in _EXPANDED | _OTHERS:
        raise ConfigError(f"{where}:{line}: unknown instruction {first!r}", "see docker's Dockerfile reference")
    if name in {"RUN", "COPY", "ADD"} and _HEREDOC.search(rest):
        raise UnsupportedError(f"{where}:{line}: {name} with a here-document", "`tiffin build -f` has docker build it")
    flags: dict[str, str] = {}
    while found := _FLAG.match(rest):
        flags[found[1]] = found[2] or ""
        rest = rest[found.end() :]
    if not rest:
        raise ConfigError(f"{where}:{line}: {name} of nothing", "see docker's Dockerfile reference")
    return Instruction(line=line, written=text, name=name, text=rest, flags=flags, words=_exec_form(rest))


def _exec_form(text: str) -> tuple[str, ...] | None:
    """Read `["a", "b"]`; what is no JSON array of strings is the shell form, as docker has it."""
    if not text.startswith("["):
        return None
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return tuple(words) if all(isinstance(word, str) for word in words) else None


def substituted(instructions: list[Instruction], arguments: Mapping[str, str] | None = None) -> list[Instruction]:
    """Replace variables as a build would: ARG and ENV from where they stand on; ARG before FROM is for FROM only."""
    given, found = dict(arguments or {}), []
    before: dict[str, str] = {}
    known: dict[str, str] = {}
    started = False
    for one in instructions:
        variables = before if one.name == "FROM" or not started else known
        theirs = one.name in _EXPANDED or (one.name == "RUN" and _names(one.text) <= variables.keys())
        text = expand(one.text, variables) if theirs else one.text
        if one.name == "FROM":
            started, known = True, {}
        elif one.name == "ARG":
            name, _, default = unquoted(text).partition("=")
            value = given.get(name, default or before.get(name, ""))
            (known if started else before)[name] = value
        elif one.name == "ENV":
            known |= pairs(text)
        words = one.words if text == one.text else _exec_form(text)
        found.append(msgspec.structs.replace(one, text=text, words=words))
    return found


_VARIABLE = re.compile(r"\\(?P<escaped>\$)|\$(?:(?P<bare>\w+)|\{(?P<name>\w+)(?:(?P<how>:[-+])(?P<word>[^{}]*))?\})")


def _names(text: str) -> set[str]:
    return {found["bare"] or found["name"] for found in _VARIABLE.finditer(text) if not found["escaped"]}


def expand(text: str, variables: Mapping[str, str]) -> str:
    r"""Replace `$A`, `${A}`, `${A:-other}` and `${A:+other}`; `\$` stays a dollar, an unknown name becomes nothing."""

    def value(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        known = variables.get(found["bare"] or found["name"], "")
        if found["how"] == ":-":
            return known or expand(found["word"], variables)
        if found["how"] == ":+":
            return expand(found["word"], variables) if known else ""
        return known

    return _VARIABLE.sub(value, text)


def pairs(text: str) -> dict[str, str]:
    """Read `A=1 B="two words"` or the old form `A one value`, of ENV and LABEL."""
    name, _, rest = text.partition(" ")
    if "=" not in name:
        return {name: rest.strip()}
    return {unquoted(key): unquoted(value) for key, value in _PAIR.findall(text)}


def unquoted(text: str) -> str:
    """A word without its quotes, and without the backslashes that escaped something."""
    parts = re.findall(r'"((?:\\.|[^"\\])*)"|\'([^\']*)\'|((?:\\.|[^"\'\\])+)', text)
    return "".join(single or re.sub(r"\\(.)", r"\1", double or bare) for double, single, bare in parts)
