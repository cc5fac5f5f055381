"""`tiffin tags`: list the tags of a repository."""

from __future__ import annotations

import click


@click.command("tags")
@click.argument("repository")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(repository: str, *, as_json: bool) -> None:
    """List the tags of REPOSITORY, such as registry.example/team/iris, one a line."""
    from tiffin.api.images.tags import tags
    from tiffin.oci.documents import encode

    found = tags(repository)
    if as_json:
        click.echo(encode(found))
        return
    for tag in found:
        click.echo(tag)
