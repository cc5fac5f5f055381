"""`tiffin port-forward`: lead a port of this machine to a service in a cluster."""

from __future__ import annotations

from typing import Any

import click

from tiffin.cli.where import place, where_options


@click.command("port-forward")
@click.argument("name")
@click.argument("ports", default="", metavar="[[LOCAL:]REMOTE]")
@click.option("--address", default="127.0.0.1", show_default=True, help="The address of this machine to listen at.")
@where_options
def command(name: str, ports: str, address: str, **said: Any) -> None:
    """Lead a port of this machine to the service NAME in a cluster until interrupted, and print where it answers.

    REMOTE is a port by name or number, its HTTP port by default; LOCAL is the same number, or any that is free. Each
    connection goes to a replica that is ready then, so that a rollout is no end.
    """
    from tiffin.api.reaching.reach import forward

    found = forward(name, ports, address, place(said))
    shown = f"[{address}]" if ":" in address else address
    scheme = "" if ports.rpartition(":")[2] == "grpc" else "http://"
    click.echo(f"{scheme}{shown}:{found.port}")
    try:
        found.run()
    finally:
        found.close()
