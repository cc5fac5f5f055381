"""Which command lines are known before there is a command line: those that it reads in the same way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.api.containers import warm
from tiffin.cli import run as run_command

FLAGS = ["--rm", "-i", "--interactive", "--read-only", "--writable", "-t", "-it", "--name", "--"]
WORDS = st.lists(st.sampled_from([*FLAGS, "box", "a:1", ".", "sh"]), max_size=6)


class TestWords:
    @given(WORDS)
    def test_what_is_read_here_is_what_the_command_line_reads(self, words: list[str]) -> None:
        read = warm.read(["run", *words], {})
        if read is None:
            return
        context = run_command.command.make_context("run", [*words])
        typed = {name: context.params[name] for name in ("what", "program", "remove", "interactive", "read_only")}
        assert typed == {
            "what": read.what,
            "program": tuple(read.args),
            "remove": read.remove,
            "interactive": read.stdin,
            "read_only": read.read_only,
        }
        default = run_command.command.make_context("run", ["box"]).params
        assert {name: value for name, value in context.params.items() if name not in typed} == {
            name: value for name, value in default.items() if name not in typed
        }

    @pytest.mark.parametrize(
        "words",
        ["ps", "run", "run --rm", "run .", "run /x", "run -d box", "run box --rm", "run box -- x", "-h run box"],
    )
    def test_other_words_are_left_to_the_command_line(self, words: str) -> None:
        assert warm.read(words.split(), {}) is None
