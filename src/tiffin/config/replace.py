"""What becomes of a Dockerfile in tiffin.toml, instruction by instruction. Pure.

Nothing is guessed: an instruction either becomes a key, or the image has what it does already, or it is given when a
container starts; one that is none of these is refused.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath

import msgspec

from tiffin.config.dockerfile import Instruction, pairs

OLDEST_PYTHON = (3, 10)
"""The oldest Python that the server in the image runs on."""
_PYTHON = re.compile(r"(?:.*/)?python:(\d+\.\d+)(?:\.\d+)?\S*")
_NO_PYTHON = re.compile(r"(?:.*/)?(?:python|debian|ubuntu)(?::\S+)?")
_TOOLS = {"pip", "setuptools", "wheel", "virtualenv", "uv", "pipenv", "poetry"}
_NOT_NEEDED = {"build-essential", "gcc", "g++", "make", "cmake", "git", "curl", "wget", "python3", "pip", "pkg-config"}
_NOT_NEEDED |= {"python3-dev", "python3-pip", "python3-venv", "python-dev", "ca-certificates", "virtualenv"}
_OWN_ENV = re.compile(r"VIRTUAL_ENV|PATH|LANG|LC_ALL|DEBIAN_FRONTEND|PYTHON(UNBUFFERED|DONTWRITEBYTECODE)|(PIP|UV)_\w+")
_PIP_VALUES = {"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "-c", "--constraint"}
_SHELL_SIGNS = set("|<>()")


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an instruction; `refused` says that nothing could."""

    line: int
    instruction: str
    becomes: str
    refused: bool = False


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """What a Dockerfile says of an image; `python` is "" where it leaves that open."""

    fates: list[Fate]
    python: str = ""
    requirements: str = ""
    dependencies: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


class _Unknown(Exception):  # noqa: N818 - not an error of the program's: a refusal on its way to a Fate
    """Nothing here does what an instruction does."""


def replacement(instructions: list[Instruction], pythons: Collection[str], model: str = "") -> Replacement:
    """Go through a Dockerfile whose variables are substituted.

    `pythons` are the versions that a base brings, `model` is the model's path in its folder.
    """
    draft = _Draft(pythons, model)
    fates = [draft.take(one) for one in instructions]
    return Replacement(
        fates=fates,
        python=draft.python,
        requirements=draft.requirements,
        dependencies=tuple(draft.dependencies),
        packages=tuple(draft.packages),
        include=tuple(draft.include),
    )


class _Draft:
    """What is known of the image so far."""

    def __init__(self, pythons: Collection[str], model: str) -> None:
        self.python = ""
        self.requirements = ""
        self.dependencies: list[str] = []
        self.packages: list[str] = []
        self.include: list[str] = []
        self._pythons = pythons
        self._model = model
        self._stages = 0
        self._takes: dict[str, Callable[[Instruction], str]] = {
            "FROM": self._from,
            "RUN": self._run,
            "ENV": self._env,
            "COPY": self._copy,
            "ADD": self._copy,
        }

    def take(self, one: Instruction) -> Fate:
        try:
            becomes = self._takes[one.name](one) if one.name in self._takes else _built_in(one)
        except _Unknown as unknown:
            return Fate(line=one.line, instruction=one.shown, becomes=str(unknown), refused=True)
        return Fate(line=one.line, instruction=one.shown, becomes=becomes)

    def _from(self, one: Instruction) -> str:
        self._stages += 1
        if self._stages > 1:
            raise _Unknown("several stages")
        image = one.text.split()[0]
        if found := _PYTHON.fullmatch(image):
            return self._python(found[1])
        if _NO_PYTHON.fullmatch(image):
            return "`[image] base`, with the model's own Python"
        raise _Unknown("what that base image holds is not known")

    def _python(self, version: str) -> str:
        if version in self._pythons:
            self.python = version
            return "`[python] version` and `[image] base`"
        oldest = ".".join(str(part) for part in OLDEST_PYTHON)
        old = tuple(int(part) for part in version.split(".")) < OLDEST_PYTHON
        why = f"the server needs {oldest} or newer" if old else "no base here brings that one"
        return f"`[python] version` of the model's own Python: {why}; only `tiffin build -f` keeps {version}"

    def _env(self, one: Instruction) -> str:
        own = [name for name in pairs(one.text) if not _OWN_ENV.fullmatch(name)]
        if not own:
            return "nothing: the image sets its own"
        return "given at the start: " + " ".join(f"`tiffin run -e {name}=…`" for name in own)

    def _copy(self, one: Instruction) -> str:
        words = one.words or tuple(shlex.split(one.text))
        if "from" in one.flags:
            raise _Unknown("several stages")
        if any("://" in word or word.startswith("git@") for word in words[:-1]):
            raise _Unknown("a download")
        return "; ".join(dict.fromkeys(self._source(word) for word in words[:-1]))

    def _source(self, word: str) -> str:
        path = str(PurePosixPath(word)).lstrip("/") or "."
        if path == self._model:
            return "`[model] path`"
        if "requirements" in path and path.endswith((".txt", ".in")):
            return "nothing: the lock reads it"
        pattern = "**/*.py" if path == "." else path if "." in PurePosixPath(path).name else f"{path}/**/*"
        self.include.append(pattern)
        also = "; name there what else it reads" if path == "." else ""
        return f"`[image] include`{also}"

    def _run(self, one: Instruction) -> str:
        commands = [list(one.words)] if one.words is not None else list(_commands(one.text))
        return "; ".join(dict.fromkeys(self._command(words) for words in commands))

    def _command(self, words: list[str]) -> str:
        match [PurePosixPath(words[0]).name, *words[1:]]:
            case [("python" | "python3"), "-m", ("pip" | "venv" | "virtualenv" | "uv"), *_]:
                return self._command(words[2:])
            case ["uv", "pip", *rest]:
                return self._command(["pip", *rest])
            case [("pip" | "pip3"), "install", *rest]:
                return self._pip(rest)
            case [("apt-get" | "apt"), *rest]:
                return self._apt([word for word in rest if not word.startswith("-")])
            case [("virtualenv" | "venv" | "uv"), *_]:
                return "nothing: the image has its own environment"
            case [("rm" | "mkdir" | "useradd" | "adduser" | "groupadd" | "addgroup" | "chown" | "chmod"), *_]:
                return "nothing: layers hold no leftovers, and users and folders are the image's own"
            case _:
                raise _Unknown(f"`{words[0]}` would have to be run")

    def _pip(self, rest: list[str]) -> str:
        told, words = [], iter(rest)
        for word in words:
            if word in {"-r", "--requirement"} or word.startswith("--requirement="):
                told.append(self._requirements(word.partition("=")[2] or next(words, "")))
            elif word in _PIP_VALUES:
                next(words, "")
                told.append("pip's own settings name the index")
            elif not word.startswith("-"):
                told.append(self._dependency(word))
        return "; ".join(dict.fromkeys(told)) or "nothing"

    def _requirements(self, file: str) -> str:
        if self.requirements not in {"", file}:
            raise _Unknown(f"two files of requirements: put {file} into {self.requirements}")
        self.requirements = file
        self._check_one_list()
        return f"`[python] requirements = {file!r}`".replace("'", '"')

    def _dependency(self, word: str) -> str:
        name = re.split(r"[\s\[<>=!~;@]", word)[0].lower()
        if name in _TOOLS:
            return "nothing: the image has its own environment"
        if "/" in word or word == ".":
            raise _Unknown(f"{word} is no package by name")
        self.dependencies.append(word)
        self._check_one_list()
        return "`[python] dependencies`"

    def _check_one_list(self) -> None:
        if self.requirements and self.dependencies:
            raise _Unknown(f"packages beside a file of requirements: put them into {self.requirements}")

    def _apt(self, words: list[str]) -> str:
        if words[:1] != ["install"]:
            return "nothing: layers hold no leftovers"
        names = [word.partition("=")[0] for word in words[1:]]
        wanted = [name for name in names if name not in _NOT_NEEDED]
        self.packages += [name for name in wanted if name not in self.packages]
        return "`[image] packages`" if wanted else "nothing: wheels come compiled"


def _commands(text: str) -> Iterator[list[str]]:
    """Split a shell command line at `&&` and `;`; raises _Unknown for what only a shell understands."""
    reader = shlex.shlex(text, posix=True, punctuation_chars="&;|<>()")
    reader.whitespace_split = True
    reader.commenters = ""
    words: list[str] = []
    try:
        tokens = list(reader)
    except ValueError as error:
        raise _Unknown(f"a shell command with {str(error).lower()}") from error
    for sign in [*tokens, ";"]:
        if sign in {"&&", ";"}:
            if words:
                yield words
            words = []
        elif sign == "&" or _SHELL_SIGNS & set(sign[:1]) or "$" in sign or "`" in sign:
            raise _Unknown("a shell command with pipes, redirections or unknown variables")
        elif words or "=" not in sign:  # NAME=value before a command
            words.append(sign)


_BUILT_IN = {
    "ARG": "its value, wherever it is used",
    "CMD": "nothing: the server in the image answers; your files are its code",
    "ENTRYPOINT": "nothing: the server in the image answers; your files are its code",
    "EXPOSE": "nothing: the server listens on 8080; `tiffin run -p PORT` publishes it",
    "HEALTHCHECK": "nothing: the server answers /v2/health/ready",
    "LABEL": "nothing: the image says what it is made of",
    "MAINTAINER": "nothing",
    "STOPSIGNAL": "nothing: the server drains at SIGTERM",
    "USER": "nothing: the image runs as an ordinary user, 65532",
    "VOLUME": "given at the start: `tiffin run -v FOLDER:PATH`",
    "WORKDIR": "nothing: the code lies in /app, which is the working directory",
}


def _built_in(one: Instruction) -> str:
    if one.name not in _BUILT_IN:
        raise _Unknown(f"{one.name} has no counterpart")
    return _BUILT_IN[one.name]
