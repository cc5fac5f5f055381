"""`tiffin deploy`: keep a project or an image running as a service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.service import print_changes
from tiffin.cli.where import place, where_options

if TYPE_CHECKING:
    from tiffin.api.services.deploy import Order, Planned

_STDOUT = "-"


@click.command("deploy")
@click.argument("what", default=".")
@where_options
@click.option("--name", default="", help="The service's name; the image's own by default.")
@click.option("--replicas", default="", metavar="N|A-B", help="How many, or between how many the load decides.")
@click.option(
    "--canary",
    type=click.FloatRange(0, 100, min_open=True),
    metavar="PERCENT",
    help="Give it a share of the requests beside what is there.",
)
@click.option("-e", "--env", multiple=True, help="NAME=VALUE, or NAME to pass on yours.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where an image that is not tiffin's listens.")
@click.option("--ready", default="", metavar="PATH", help="What such an image answers when it is ready.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up a rollout that brings nothing forward for so long.",
)
@click.option(
    "--rollback-on-failure", "rollback", is_flag=True, help="Take a rollout back that is given up; a first one goes."
)
@click.option("--plan", is_flag=True, help="Print what would change, and change nothing.")
@click.option(
    "--render",
    is_flag=False,
    flag_value=_STDOUT,
    metavar="[DIR]",
    help="Print a cluster's manifests, or write them to DIR for kustomize; no cluster is asked.",
)
@click.option(
    "--k8s-version", "version", default="", metavar="1.36", help="With --plan and --render: for that version."
)
@click.option("--gateway", default="", metavar="[NAMESPACE/]NAME", help="The cluster's Gateway that leads to its host.")
@click.option(
    "--with",
    "having",
    default="",
    metavar="NAMES",
    help="With --render and --k8s-version: what the cluster has, of custom-metrics, gateway-api, keda, keda-http and "
    "prometheus-operator, separated by commas.",
)
@click.option("--kserve", is_flag=True, help="Have KServe keep it, as an InferenceService.")
@click.option(
    "--push", default="", metavar="REGISTRY/NAME[:TAG]", help="Push WHAT there first, and deploy it from there."
)
@click.option("--force", is_flag=True, help="Take over fields that others have set in the cluster.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(what: str, *, plan: bool, render: str | None, version: str, as_json: bool, **typed: Any) -> None:
    """Keep WHAT, a project's folder (which is built first) or an image, running as a service, and print its address.

    It returns when the service is available, or says what is in the way. `[deploy]` of tiffin.toml says how it is kept.
    """
    from tiffin.api.services.deploy import deploy, plan_deploy
    from tiffin.cli.service import print_status
    from tiffin.oci.documents import encode

    having = tuple(name.strip() for name in typed.pop("having").split(",") if name.strip())
    order = _order(what, {**typed, "having": having})
    if version and not plan and render is None:
        raise click.UsageError("--k8s-version goes with --plan or --render: a cluster says its own")
    if having and render is None and not version:
        raise click.UsageError("--with goes with --render, or --plan and --k8s-version: a cluster that is asked knows")
    if render is not None:
        _render(order, render, version)
    elif plan:
        planned = plan_deploy(order, version)
        click.echo(encode(planned)) if as_json else _show_plan(planned)
    else:
        status = deploy(order)[0]
        if as_json:
            print_status(status, as_json=True)
        else:
            click.echo(next(iter(status.addresses), status.name))


def _order(what: str, typed: dict[str, Any]) -> Order:
    from tiffin.api.containers.options import parse_variable
    from tiffin.api.services.deploy import Order
    from tiffin.deploy.compose import Asked

    where = place(typed)
    env = dict(parse_variable(text, os.environ) for text in typed.pop("env"))
    words = {key: typed.pop(key) for key in ("replicas", "timeout", "rollback", "port", "ready")}
    asked = Asked(env=env, **words)
    return Order(what=what, where=where, asked=asked, **typed)


def _render(order: Order, folder: str, version: str) -> None:
    from tiffin.api.services.deploy import render, render_into

    if folder == _STDOUT:
        click.echo(render(order, version), nl=False)
    else:
        click.echo("\n".join(render_into(order, Path(folder), version)))


def _show_plan(planned: Planned) -> None:
    click.echo(f"{planned.service.name}: {planned.service.template.reference}, on {planned.place}\n")
    print_changes(planned.changes)
