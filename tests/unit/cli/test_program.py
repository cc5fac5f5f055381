"""Options on both sides of an image, and a program whose words are its own."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from tiffin.cli.program import WithProgram


@click.command(cls=WithProgram)
@click.argument("what", default=".")
@click.option("-d", is_flag=True)
@click.option("-p", multiple=True)
@click.option("--name", default="")
@click.argument("program", nargs=-1)
def command(what: str, program: tuple[str, ...], *, d: bool, p: tuple[str, ...], name: str) -> None:
    click.echo(repr((what, d, p, name, program)))


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("", (".", False, (), "", ())),
        ("-p 1", (".", False, ("1",), "", ())),
        ("box -d -p 1", ("box", True, ("1",), "", ())),
        ("-p 1 box -d", ("box", True, ("1",), "", ())),
        ("box sh -c -d", ("box", False, (), "", ("sh", "-c", "-d"))),
        ("-d box --name=x sh --name y -- z", ("box", True, (), "x", ("sh", "--name", "y", "--", "z"))),
        ("box -- -d -p", ("box", False, (), "", ("-d", "-p"))),
        ("box -d -- sh", ("box", True, (), "", ("sh",))),
        ("-- box -d", ("box", False, (), "", ("-d",))),
        ("-dp 1 box --name x", ("box", True, ("1",), "x", ())),
        ("box -- -- x", ("box", False, (), "", ("--", "x"))),
    ],
)
def test_what_follows_the_image_and_its_options_is_the_programs(typed: str, read: tuple[object, ...]) -> None:
    result = CliRunner().invoke(command, typed.split())
    assert (result.exit_code, result.output.strip()) == (0, repr(read))


def test_an_option_that_is_none_is_refused_on_either_side() -> None:
    for typed in (["-x", "box"], ["box", "-x"], ["box", "-p"]):
        assert CliRunner().invoke(command, typed).exit_code == 2


def test_a_program_may_have_any_option() -> None:
    assert CliRunner().invoke(command, ["box", "sh", "-x"]).exit_code == 0
