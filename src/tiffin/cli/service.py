"""A service's status as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tiffin.cli.table import show

if TYPE_CHECKING:
    from tiffin.deploy.target import Change, Status


def print_changes(changes: Sequence[Change]) -> None:
    """Print what would become of each object, and below that the fields that differ."""
    show(changes, ("action", "what"), as_json=False)
    for change in changes:
        if change.details:
            click.echo(f"\n{change.what}\n" + "\n".join(f"    {detail}" for detail in change.details))


def print_status(status: Status, *, as_json: bool = False) -> None:
    """Print how a service is: a line, its revisions, and what is in its way."""
    from tiffin.oci.documents import encode

    if as_json:
        click.echo(encode(status))
        return
    addresses = "".join(f", {address}" for address in status.addresses)
    click.echo(f"{status.name}: {status.phase.value}, {status.ready} of {status.wanted} replicas ready{addresses}")
    if status.revisions:
        click.echo()
        show(status.revisions, ("number", "image", "weight", "replicas", "ready", "created", "why"), as_json=False)
    for finding in status.findings:
        click.echo(f"\n{finding.message}")
        click.echo("".join(f"    {line}\n" for line in finding.log), nl=False)
        if finding.hint:
            click.echo(f"hint: {finding.hint}")
