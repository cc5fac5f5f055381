"""`tiffin promote`: give a canary all requests."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.where import place, where_options


@click.command("promote")
@click.argument("name")
@where_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, *, as_json: bool, **said: Any) -> None:
    """Give the canary of the service NAME all requests, and let go of the revision that was there."""
    from tiffin.api.services.verbs import promote
    from tiffin.cli.service import print_status

    print_status(promote(name, place(said)), as_json=as_json)
