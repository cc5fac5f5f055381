"""Objects as text mean the same to whoever reads them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tiffin.deploy.kubernetes.manifests.render import kustomize, render, to_yaml
from unit.deploy.kubernetes.manifests.services import CANARY, FULL, SERVICE

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(min_size=1, max_size=5), values, min_size=1, max_size=3), max_size=3))
def test_what_is_written_reads_the_same(objects: list[dict[str, Any]]) -> None:
    assert list(yaml.safe_load_all(to_yaml(objects))) == objects


@pytest.mark.parametrize(
    "text",
    [
        "y",
        "N",
        "yes",
        "Off",
        "null",
        "~",
        "1e3",
        "0x1F",
        "0o17",
        "017",
        "1_000",
        "12:30:45",
        "2026-01-01",
        ".5",
        "",
        " a",
        ".inf",
        "1.",
        "-",
        "<<",
        "=",
        "a: b",
        "a #b",
        "@a",
        "`a",
        "%a",
        "a:",
        "[a",
        "{a",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "'",
        '"',
    ],
)
def test_text_that_some_reader_takes_for_something_else_is_quoted(text: str) -> None:
    assert to_yaml([{"a": text}]).startswith('a: "')


@pytest.mark.parametrize(
    "text", ["restricted", "1536Mi", "500m", "/v2/health/ready", "registry.example/iris@sha256:0a"]
)
def test_text_that_everybody_reads_alike_is_left_plain(text: str) -> None:
    assert to_yaml([{"a": text}]) == f"a: {text}\n"


def test_the_same_service_is_the_same_text() -> None:
    assert to_yaml(render(SERVICE, FULL)) == to_yaml(render(SERVICE, FULL))
    first = re.findall(r"^(\w+):", to_yaml(render(SERVICE, FULL)), re.MULTILINE)[:4]
    assert first == ["apiVersion", "kind", "metadata", "apiVersion"]


def test_a_base_lists_every_file_and_holds_every_object() -> None:
    objects = render(SERVICE, FULL, CANARY)
    files = kustomize(objects)
    listing = yaml.safe_load(files.pop("kustomization.yaml"))
    assert listing["resources"] == list(files)
    assert [yaml.safe_load(text) for text in files.values()] == objects
    assert all(re.fullmatch(r"[a-z-]+\.yaml", name) for name in files)
