"""The environment files of conda and MLflow: their pip part is read, and nothing else is quietly left out.

Sources: conda's "Creating an environment file manually", MLflow's `conda.yaml` and `python_env.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from tiffin.config.plain_yaml import Value, read_yaml
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.packages.pypi.requirements import Requirements

_MATCH = re.compile(r"(?:\S+::)?(?P<name>[A-Za-z0-9_.-]+)(?:\[.*\])?\s*(?P<version>.*)")
_FUZZY = re.compile(r"={0,2}\s*(?P<version>\d+(?:\.\d+)*)(?:\.?\*)?(?:[= ].*)?")
_DEBIAN = {
    "libgomp": "libgomp1",
    "openblas": "libopenblas0",
    "libopenblas": "libopenblas0",
    "libgcc": "libgcc-s1",
    "libgcc-ng": "libgcc-s1",
    "libstdcxx-ng": "libstdc++6",
    "ffmpeg": "ffmpeg",
    "graphviz": "graphviz",
    "libsndfile": "libsndfile1",
    "openssl": "openssl",
    "tesseract": "tesseract-ocr",
    "git": "git",
    "curl": "curl",
}
"""conda's name of what is no Python package -> Debian's."""
_PYPI = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "tensorflow-gpu": "tensorflow",
    "py-xgboost": "xgboost",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "msgpack-python": "msgpack",
    "matplotlib-base": "matplotlib",
}
"""conda's name of a Python package -> PyPI's, where they differ."""
_IN_WHEELS = {"cudatoolkit", "cudnn", "cuda-toolkit", "pytorch-cuda", "cpuonly", "mkl", "blas", "nccl"}
"""What the wheels of the frameworks bring themselves, or depend on."""


def environment_requirements(path: Path) -> Requirements:
    """Read an environment file; raises ConfigError for what is none and UnsupportedError for conda's own packages."""
    table = _table(path)
    items = table.get("dependencies", [])
    if not isinstance(items, list):
        raise ConfigError(f"{path}: not a list - at `$.dependencies`", "see conda's or MLflow's documentation")
    if {"python", "build_dependencies"} & set(table):  # MLflow's python_env.yaml
        lines = list(_strings(items, f"{path}: $.dependencies"))
        return _with_python(Requirements.of_list(lines, path), str(table.get("python", "")), path)
    return _conda(items, path)


def _conda(items: list[Value], path: Path) -> Requirements:
    lines: list[tuple[str, str]] = []
    python = ""
    for at, item in enumerate(items):
        place = f"{path}: $.dependencies[{at}]"
        if isinstance(item, dict) and set(item) == {"pip"} and isinstance(item["pip"], list):
            lines += _strings(item["pip"], f"{place}.pip")
            continue
        name, version = _package(item, place)
        if name == "python":
            python = version
        elif name != "pip":
            raise _refused(name, version, place)
    return _with_python(Requirements.of_list(lines, path), python, path)


def _strings(items: list[Value], where: str) -> Iterator[tuple[str, str]]:
    for at, item in enumerate(items):
        if not isinstance(item, str):
            raise ConfigError(f"{where}[{at}]: not a requirement", "write it as `- name==1.2.3`")
        yield f"{where}[{at}]", item


def _package(item: object, place: str) -> tuple[str, str]:
    found = _MATCH.fullmatch(item.strip()) if isinstance(item, str) else None
    if found is None:
        raise ConfigError(f"{place}: not a package of conda", "write it as `- name=1.2.3`, or under `- pip:`")
    return found["name"].lower(), found["version"].strip()


def _with_python(read: Requirements, version: str, path: Path) -> Requirements:
    """Put conda's way to say a version of Python into PEP 440's."""
    fuzzy = _FUZZY.fullmatch(version)
    specifier = f"=={fuzzy['version']}.*" if fuzzy else version.replace(" ", "")
    try:
        return msgspec.structs.replace(read, python=str(SpecifierSet(specifier)))
    except InvalidSpecifier as error:
        raise ConfigError(f"{path}: not a version of Python: {version!r}", "write it as `python=3.11`") from error


def _refused(name: str, version: str, place: str) -> UnsupportedError:
    """Say what to put in the place of a package that only conda has."""
    exact = _FUZZY.fullmatch(version)
    if name in _DEBIAN:
        hint = f'remove it, and add `packages = ["{_DEBIAN[name]}"]` to `[image]`'
    elif name in _IN_WHEELS:
        hint = "remove it: the wheels of the frameworks bring it, or name a package of PyPI that they need"
    else:
        pinned = _PYPI.get(name, canonicalize_name(name)) + (f"=={exact['version']}" if exact else "")
        hint = f"move it under `- pip:` as `- {pinned}`; for a system library name Debian's in `[image] packages`"
    return UnsupportedError(f"{place}: {name} is a package of conda, and only the pip part is used", hint)


def _table(path: Path) -> dict[str, Value]:
    table = read_yaml(path)
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: not an environment of conda or MLflow", "see `dependencies` of conda.yaml")
    return table
