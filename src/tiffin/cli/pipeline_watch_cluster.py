"""`tiffin pipeline watch --to kubernetes`: the options of a pipeline that a cluster runs, and what is done by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tiffin.cli.service import print_changes
from tiffin.cli.where import place, where_options

if TYPE_CHECKING:
    from tiffin.api.pipelines.scheduled import Order

Command = TypeVar("Command", bound=Callable[..., Any])
_STDOUT = "-"
_OPTIONS = (
    click.option("--push", default="", metavar="REGISTRY/NAME[:TAG]", help="Where the pipeline's image goes."),
    click.option("--state", default="", metavar="CLAIM", help="The PersistentVolumeClaim that keeps results."),
    click.option(
        "--data", multiple=True, metavar="PATH=CLAIM", help="What of the project's folder is on a claim, read-only."
    ),
    click.option(
        "--login", default="", metavar="SECRET", help="The Secret (docker-registry) with which steps pull and push."
    ),
    click.option("--every", type=click.IntRange(min=1), metavar="MINUTES", help="How often data is looked at; 15."),
    click.option(
        "--now", is_flag=True, help="Have the cluster begin a run of what is there, and print its Job's name."
    ),
    click.option("--delete", is_flag=True, help="Have the cluster run it no more."),
    click.option("--plan", is_flag=True, help="Print what would change in the cluster, and change nothing."),
    click.option(
        "--render",
        is_flag=False,
        flag_value=_STDOUT,
        metavar="[DIR]",
        help="Print the manifests, or write them to DIR for kustomize; no cluster is asked.",
    ),
    click.option(
        "--k8s-version", "version", default="", metavar="1.36", help="With --plan and --render: for that version."
    ),
    click.option(
        "--with", "having", default="", metavar="NAMES", help="With --render and --k8s-version: what the cluster has."
    ),
    click.option("--force", is_flag=True, help="Take over fields that others have set in the cluster."),
)
_LOCAL = ("native", "here", "wait")


def cluster_options(command: Command) -> Command:
    """Add the options; `on_cluster` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return where_options(command)


def on_cluster(typed: dict[str, Any], local: Mapping[str, bool]) -> bool:
    """Take the options out of what was typed, and do it where a cluster is meant; say whether one was.

    `local` are options of a watcher here, which no CronJob has.
    """
    from tiffin.api.services.targets import Where

    where = place(typed)
    does = {name: typed.pop(name) for name in ("now", "delete", "plan", "render")}
    own = {name: typed.pop(name) for name in ("push", "state", "data", "login", "every", "version", "having", "force")}
    if where == Where() or not _is_cluster(where, typed["what"]):
        if given := [name for name, value in {**does, **own}.items() if value not in {None, "", False, ()}]:
            raise click.UsageError(f"--{_option(given[0])} is about a cluster: say `--to kubernetes`")
        return False
    refused = {**local, **{name: typed[name] for name in _LOCAL}}
    if given := [name for name, value in refused.items() if value]:
        raise click.UsageError(f"--{given[0]} is about a watcher here, and no cluster's")
    if sum(value not in {None, False} for value in does.values()) > 1:
        raise click.UsageError("--now, --delete, --plan and --render are one at a time")
    if (own["version"] or own["having"]) and not does["plan"] and does["render"] is None:
        raise click.UsageError("--k8s-version and --with go with --plan or --render: a cluster that is asked knows")
    _do(_order(where, own, typed), does)
    return True


def _is_cluster(where: Any, folder: Path) -> bool:
    from tiffin.api.pipelines.scheduled import is_cluster

    return is_cluster(where, folder)


def _option(name: str) -> str:
    return {"version": "k8s-version", "having": "with"}.get(name, name)


def _order(where: Any, own: dict[str, Any], typed: Mapping[str, Any]) -> Order:
    from tiffin.api.pipelines.scheduled import Order

    having = tuple(name.strip() for name in own.pop("having").split(",") if name.strip())
    return Order(
        where=where,
        having=having,
        every=own.pop("every") or 0,
        jobs=typed["jobs"] or 0,
        **{name: typed[name] for name in ("what", "name", "arguments", "cache")},
        **own,
    )


def _do(order: Order, does: Mapping[str, Any]) -> None:
    from tiffin.api.pipelines import scheduled

    if does["render"] == _STDOUT:
        click.echo(scheduled.render(order), nl=False)
    elif does["render"] is not None:
        click.echo("\n".join(scheduled.render_into(order, Path(does["render"]))))
    elif does["plan"]:
        print_changes(scheduled.plan(order))
    elif does["now"]:
        click.echo(scheduled.begin(order))
    elif does["delete"]:
        click.echo(scheduled.delete(order))
    else:
        click.echo(scheduled.keep(order).name)
