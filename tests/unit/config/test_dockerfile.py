"""Reading a Dockerfile: lines, forms, variables; what is no Dockerfile is refused with its line."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.config.dockerfile import expand, pairs, parse_dockerfile, substituted, unquoted
from tiffin.errors import ConfigError, TiffinError, UnsupportedError


def rows(text: str) -> list[tuple[int, str, str]]:
    return [(one.line, one.name, one.text) for one in parse_dockerfile(text, "Dockerfile")]


def texts(text: str, **arguments: str) -> list[str]:
    return [one.text for one in substituted(parse_dockerfile(text, "Dockerfile"), arguments)]


def test_instructions_have_their_line_and_their_name_in_capitals() -> None:
    assert rows("# hello\nfrom a:1\n\nRun  x  y\n") == [(2, "FROM", "a:1"), (4, "RUN", "x  y")]


def test_a_line_goes_on_over_comments_and_blank_lines() -> None:
    text = "FROM a\nRUN apt-get update && \\\n  # why\n\n    apt-get install -y \\  \n    b\nCMD c\n"
    (_, run, last) = rows(text)
    assert (run[0], run[2].split()) == (2, ["apt-get", "update", "&&", "apt-get", "install", "-y", "b"])
    assert last == (7, "CMD", "c")


def test_a_directive_at_the_top_changes_the_escape() -> None:
    assert rows("# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN b `\nc \\\n")[1] == (4, "RUN", "b c \\")
    assert rows("FROM a\n# escape=`\nRUN b \\\n c\n")[1] == (3, "RUN", "b  c")


def test_windows_line_ends_and_a_byte_order_mark_are_no_matter() -> None:
    assert rows("\ufeffFROM a\r\nRUN b \\\r\n c\r\n") == [(1, "FROM", "a"), (2, "RUN", "b  c")]


def test_flags_are_apart() -> None:
    (_, one) = parse_dockerfile("FROM a\nCOPY --from=b --chown=1:1 x /y", "Dockerfile")
    assert (one.flags, one.text) == ({"from": "b", "chown": "1:1"}, "x /y")


def test_a_lone_escape_is_nothing() -> None:
    assert rows("FROM a\n\\") == rows("FROM a\n\\\n \\\n") == [(1, "FROM", "a")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('["python", "app.py"]', ("python", "app.py")),
        ("python app.py", None),
        ("['python']", None),
        ("[1]", None),
        ("[ -f x ] && y", None),
    ],
)
def test_the_exec_form_is_a_json_array_of_strings(text: str, words: tuple[str, ...] | None) -> None:
    assert parse_dockerfile(f"FROM a\nCMD {text}", "Dockerfile")[1].words == words


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ConfigError, "Dockerfile: no FROM"),
        ("RUN x", ConfigError, "no FROM"),
        ("FROM a\nRUNN x", ConfigError, "Dockerfile:2: unknown instruction 'RUNN'"),
        ("FROM", ConfigError, "Dockerfile:1: FROM of nothing"),
        ("# escape=x\nFROM a", ConfigError, "escape is"),
        ("FROM a\n\nRUN <<EOF\nx\nEOF", UnsupportedError, "Dockerfile:3: RUN with a here-document"),
        ('FROM a\nCOPY <<-"X" /y\nX', UnsupportedError, "here-document"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, error: type[TiffinError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_dockerfile(text, "Dockerfile")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$A/b", "1/b"),
        ("${A}b", "1b"),
        ("$AB", ""),
        (r"\$A", "$A"),
        ("${B:-x$A}", "x1"),
        ("${A:-x}", "1"),
        ("${A:+yes}${B:+no}", "yes"),
        ("cost: $", "cost: $"),
    ],
)
def test_variables_are_replaced_as_docker_does(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


def test_variables_count_from_where_they_stand_on() -> None:
    text = "FROM a\nWORKDIR /$X\nENV X=b Y=$X\nENV Z $Y/c\nWORKDIR /$X/$Y/$Z\n"
    assert texts(text) == ["a", "/", "X=b Y=", "Z /c", "/b///c"]


def test_an_argument_before_from_is_for_from_and_for_whoever_asks_again() -> None:
    text = "ARG V=3.11\nFROM python:$V\nENV A=$V\nARG V\nENV B=$V\n"
    assert texts(text) == ["V=3.11", "python:3.11", "A=", "V", "B=3.11"]
    assert texts(text, V="3.13")[1] == "python:3.13"


def test_the_shell_of_run_knows_the_same_variables_and_its_own() -> None:
    assert texts("FROM a\nARG V=1\nRUN pip install a==$V\nRUN for x in 1; do y $x $V; done")[2:] == [
        "pip install a==1",
        "for x in 1; do y $x $V; done",
    ]


def test_pairs_have_quotes_and_an_old_form() -> None:
    assert pairs(r"""A=1 B="two words" C='$x' D=a\ b""") == {"A": "1", "B": "two words", "C": "$x", "D": "a b"}
    assert pairs("A one value") == {"A": "one value"}


@given(st.text(alphabet=st.characters(exclude_characters="\\\"'", exclude_categories=["Cs"])))
def test_quoting_is_undone(text: str) -> None:
    assert unquoted(f'"{text}"') == unquoted(f"'{text}'") == text


@given(st.text(alphabet=st.sampled_from("FROMRUN a\\\n#$<{}[]\"'=-:`\r\t1")))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(TiffinError):
        substituted(parse_dockerfile(f"FROM a\n{text}", "Dockerfile"))
