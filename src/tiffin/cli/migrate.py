"""`tiffin migrate`: a container that runs, or a service that is kept, goes on with another engine or in a cluster."""

from __future__ import annotations

import click

from tiffin.cli.engine import engine_option

ENGINES = ("embedded", "docker", "podman")


@click.command("migrate")
@click.argument("name")
@click.option(
    "--to",
    required=True,
    metavar="embedded|docker|podman|kubernetes|ENVIRONMENT",
    help="The engine it goes to; or, for a service of this machine, the cluster.",
)
@click.option(
    "--timeout", type=float, help="Seconds that it may take to be ready there.  [default: 60 for a container]"
)
@click.option("--drop-writes", is_flag=True, help="Leave behind what it wrote to its own root.")
@click.option("--push", default="", metavar="REGISTRY/NAME[:TAG]", help="To a cluster: push its image there first.")
@click.option("--keep", is_flag=True, help="To a cluster: keep it on this machine as well.")
@click.option("--plan", is_flag=True, help="Print the steps and do none.")
@engine_option
def command(  # noqa: PLR0913 - one parameter an option
    name: str, to: str, *, timeout: float | None, drop_writes: bool, push: str, keep: bool, plan: bool
) -> None:
    """Move the container or service NAME, and print where it answers, or its name.

    A container goes with its options and volumes; the new one is ready before the old one is drained, unless both need
    the same port or write the same volume. Of a service the replicas are replaced one after the other by those of
    another engine, and no request fails; in a cluster it is ready, its address is printed, and then it is drained here.
    """
    if to not in ENGINES:
        _to_cluster(name, to, drop_writes=drop_writes, timeout=timeout, push=push, keep=keep, plan=plan)
        return
    if push or keep:
        raise click.UsageError("--push and --keep go with a cluster")
    from tiffin.api.containers.migrate import Options, migrate, plan_text
    from tiffin.api.containers.mover import READY_SECONDS
    from tiffin.api.services.moving_engines import is_kept, move, move_text

    if is_kept(name):
        if timeout is not None or drop_writes:
            raise click.UsageError(f"{name} is a service: its own `progress-seconds` bound it, and nothing is written")
        click.echo(move_text(name, to) if plan else move(name, to))
        return
    options = Options(name=name, seconds=READY_SECONDS if timeout is None else timeout, drop_writes=drop_writes)
    click.echo(plan_text(options, to) if plan else migrate(options, to))


def _to_cluster(  # noqa: PLR0913 - as the command
    name: str, to: str, *, drop_writes: bool, timeout: float | None, push: str, keep: bool, plan: bool
) -> None:
    from tiffin.api.services.moving_services import Move, migrate_service, plan_text

    if drop_writes:
        raise click.UsageError("--drop-writes is about containers: a service's replicas keep nothing in their root")
    move = Move(name=name, to=to, push=push, keep=keep, seconds=timeout)
    if plan:
        click.echo(plan_text(move))
    else:
        migrate_service(move, click.echo)
