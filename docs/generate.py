"""Write the pages that are made from the code: the command line's reference, and schemas of what is written and shared.

`make docs` writes them; a test fails when they differ from what this would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from tiffin.cli.verbs import cli
from tiffin.config.project import Project
from tiffin.pipeline.graph import Graph

ROOT = Path(__file__).resolve().parents[1]


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    return {
        ROOT / "docs" / "reference" / "cli.md": cli_page(),
        ROOT / "spec" / "project.schema.json": schema_page(Project),
        ROOT / "spec" / "pipeline.schema.json": schema_page(Graph),
    }


def cli_page() -> str:
    """The help of every command."""
    top = click.Context(cli, info_name="tiffin", terminal_width=100)
    blocks = [f"## {title}\n\n```text\n{text}\n```\n" for title, text in helps(cli, top)]
    return "\n".join(
        ["# The command line\n\nGenerated from `--help`; see [errors](errors.md) for exit statuses.\n", *blocks]
    )


def helps(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """The help of a command, and of those that it is a group of."""
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if inner := command.get_command(context, name):
                yield from helps(inner, click.Context(inner, info_name=name, parent=context, terminal_width=100))


def schema_page(document: type) -> str:
    """The JSON Schema of a document: tiffin.toml, or a pipeline."""
    schema = msgspec.json.schema(document)
    return msgspec.json.format(msgspec.json.encode(schema)).decode() + "\n"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
