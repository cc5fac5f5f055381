"""Write the pages that are made from the code: the command line's reference and the schema of tiffin.toml.

`make docs` writes them; a test fails when they differ from what this would write.
"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from tiffin.cli.verbs import cli
from tiffin.config.project import Project

ROOT = Path(__file__).resolve().parents[1]


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    return {
        ROOT / "docs" / "reference" / "cli.md": cli_page(),
        ROOT / "spec" / "project.schema.json": schema_page(),
    }


def cli_page() -> str:
    """The help of every command."""
    top = click.Context(cli, info_name="tiffin", terminal_width=100)
    texts = [("tiffin", cli.get_help(top))]
    for name in cli.list_commands(top):
        if command := cli.get_command(top, name):
            context = click.Context(command, info_name=name, parent=top, terminal_width=100)
            texts.append((f"tiffin {name}", command.get_help(context)))
    blocks = [f"## {title}\n\n```text\n{text}\n```\n" for title, text in texts]
    return "\n".join(
        ["# The command line\n\nGenerated from `--help`; see [errors](errors.md) for exit statuses.\n", *blocks]
    )


def schema_page() -> str:
    """The JSON Schema of tiffin.toml."""
    schema = msgspec.json.schema(Project)
    return msgspec.json.format(msgspec.json.encode(schema)).decode() + "\n"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
