"""What docker and podman are told where no other user reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.engine.clients.variables import hidden
from tiffin.errors import ConfigError

NAMES = st.text(st.characters(exclude_characters="=\0", exclude_categories=["Cs"]), min_size=1)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.dictionaries(NAMES, VALUES))
def test_every_variable_is_told_once_as_a_line_or_by_name(environment: dict[str, str]) -> None:
    variables = {f"X{name}": value for name, value in environment.items()}
    with hidden(variables) as (options, extra):
        text = Path(options[1]).read_text() if "--env-file" in options else ""
        lines = [line.partition("=") for line in text.split("\n") if line]
        assert {name: value for name, _, value in lines} | extra.environment == variables
        assert len(lines) + len(extra.environment) == len(variables)
        assert options.count("--env") == len(extra.environment)


@pytest.mark.parametrize("value", ["two\nlines", "carriage\r", "x" * 60_000])
def test_what_no_line_can_say_is_told_by_name(value: str) -> None:
    with hidden({"A": value, "B": "b"}) as (options, extra):
        assert extra.environment == {"A": value}
        assert options[2:] == ["--env", "A"]


@pytest.mark.parametrize("name", ["HOME", "LD_PRELOAD", "DOCKER_HOST", "https_proxy", "CONTAINERS_CONF"])
def test_what_would_change_the_program_itself_is_refused(name: str) -> None:
    with (
        pytest.raises(ConfigError, match=f"{name} has several lines"),
        hidden({name: "a\nb"}),
    ):
        pass
    with hidden({name: "a"}) as (options, _):
        assert Path(options[1]).read_text() == f"{name}=a\n"


def test_a_program_reads_what_it_is_told_from_descriptors() -> None:
    with hidden({"A": "é"}, ["label=1"]) as (options, extra):
        done = subprocess.run(
            ["cat", options[1], options[3]], pass_fds=extra.descriptors, capture_output=True, check=True
        )
    assert [options[0], options[2]] == ["--env-file", "--label-file"]
    assert done.stdout.decode() == "A=é\nlabel=1\n"


def test_nothing_to_hide_needs_nothing() -> None:
    with hidden({}) as (options, extra):
        assert (options, extra.environment, extra.descriptors) == ([], {}, ())
