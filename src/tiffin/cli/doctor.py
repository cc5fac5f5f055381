"""`tiffin doctor`: say what this machine can do, and how to mend what it cannot."""

from __future__ import annotations

import sys

import click
import msgspec

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """Say what this machine can do, and how to mend what it cannot; ends with status 1 when something is missing."""
    from tiffin.api.machine.doctor import findings

    found = findings()
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for finding in found:
            click.echo(f"{MARKS[finding.level.value]}  {finding.subject}: {finding.message}")
            if finding.hint:
                click.echo(f"      hint: {finding.hint}")
    sys.exit(any(finding.level.value == "fail" for finding in found))
