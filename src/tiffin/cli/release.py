"""`tiffin release`: from a project's folder to services that run, in named steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiffin.cli.table import show

if TYPE_CHECKING:
    from tiffin.release.plan import ReleasePlan
    from tiffin.release.result import Release


@click.command("release")
@click.argument("what", default="")
@click.option("--plan", "plans", is_flag=True, help="Print the steps and the plan's digest, and do nothing.")
@click.option("--skip", multiple=True, metavar="STEP", help="Leave a step out, unless a later one needs it.")
@click.option("--only", multiple=True, metavar="STEP", help="Take this step and what it needs, and no other.")
@click.option("--from", "start", default="", metavar="STEP", help="Begin with this step, and what it needs.")
@click.option("--approve", multiple=True, metavar="ENVIRONMENT", help="Let it deploy where `approval = true` is said.")
@click.option("--to", default="", metavar="ENVIRONMENT", help="Deploy there what the environment before it runs.")
@click.option("--key", default="", metavar="FILE", help="Sign with this key instead of `[release] sign`.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every step, and what it found.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write a JUnit report: a case a step and a check.")
@click.option("--sarif", type=click.Path(path_type=Path), help="Write what the scan found as SARIF 2.1.0.")
def command(what: str, *, plans: bool, as_json: bool, junit: Path | None, sarif: Path | None, **typed: Any) -> None:
    """Release the project in the folder WHAT (here by default), and print its image by digest.

    The steps are check, lock, build, test, scan, attest, sign, push, tag and a deploy to each environment of
    `[release] environments`; the first that fails ends it, and the same command goes on from there. With --to, WHAT is
    an image by digest, and nothing is built.
    """
    from tiffin.api.releases.run import plan, release
    from tiffin.cli.passphrase import ask
    from tiffin.oci.documents import encode

    order = _order(what, **typed)
    if plans:
        planned = plan(order)
        click.echo(encode(planned)) if as_json else _show(planned)
        return
    released, error = release(order, lambda: ask("the key of the release"))
    _report(released, junit, sarif)
    if as_json:
        click.echo(encode(released))
    if error:
        raise error
    if not as_json:
        click.echo(released.reference)


def _order(what: str, *, to: str, key: str, **asked: Any) -> Any:
    from tiffin.api.releases.run import Order
    from tiffin.release.plan import Asked

    is_image = bool(to and what and not Path(what).is_dir())
    folder = Path() if is_image or not what else Path(what)
    return Order(folder=folder, asked=Asked(**asked), to=to, image=what if is_image else "", key=key)


def _report(released: Release, junit: Path | None, sarif: Path | None) -> None:
    from tiffin.durable import renamed
    from tiffin.release import junit as xml
    from tiffin.release import sarif as findings
    from tiffin.release.result import State

    texts = {}
    if junit:
        texts[junit] = xml.junit(released)
    if sarif:
        looked = any(step.name == "scan" and step.state in {State.DONE, State.ALREADY} for step in released.steps)
        texts[sarif] = findings.sarif(released.name, released.findings, looked=looked or bool(released.findings))
    for path, text in texts.items():
        with renamed(path) as file:
            file.write(text.encode())


def _show(planned: ReleasePlan) -> None:
    show(planned.steps, ("name", "does"), as_json=False)
    if planned.left:
        click.echo()
        show(planned.left, ("name", "why"), as_json=False)
    click.echo(f"\n{planned.digest}")
