"""What docker and podman are told where no other user reads it."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.engine.clients.papers import handed_over, variables
from tiffin.errors import ConfigError

NAMES = st.text(st.characters(exclude_characters="=\0", exclude_categories=["Cs"]), min_size=1)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.dictionaries(NAMES, VALUES))
def test_every_variable_is_told_once_as_a_line_or_by_name(environment: dict[str, str]) -> None:
    told = variables(environment, {})
    lines = [line.partition("=") for line in told.lines.split("\n") if line]
    assert {name: value for name, _, value in lines} | told.named == environment
    assert len(lines) + len(told.named) == len(environment)


@pytest.mark.parametrize("value", ["two\nlines", "carriage\r", "x" * 60_000])
def test_what_no_line_can_say_is_told_by_name(value: str) -> None:
    assert variables({"A": value, "B": "b"}, {}).named == {"A": value}


@pytest.mark.parametrize("name", ["HOME", "LD_PRELOAD", "DOCKER_HOST"])
def test_what_would_change_the_program_itself_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} has several lines"):
        variables({name: "a\nb"}, {"HOME": "/root"})
    assert variables({name: "a"}, {"HOME": "/root"}).lines == f"{name}=a\n"


def test_a_program_reads_what_it_is_told_from_descriptors() -> None:
    with handed_over("A=é\n", "label=1\n") as papers:
        done = subprocess.run(
            ["cat", papers.variables, papers.labels], pass_fds=papers.descriptors, capture_output=True, check=True
        )
    assert done.stdout.decode() == "A=é\nlabel=1\n"
