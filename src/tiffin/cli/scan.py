"""`tiffin scan`: look at an image for what should not be in one."""

from __future__ import annotations

from pathlib import Path

import click

from tiffin.cli.table import show


@click.command("scan")
@click.argument("image")
@click.option("--scanner", type=click.Choice(["grype", "trivy"]), help="Have it look up what is vulnerable.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "never"]),
    default="error",
    show_default=True,
    help="End with status 10 at a finding of this level or worse.",
)
@click.option("--sarif", type=click.Path(path_type=Path), help="Write the findings as SARIF 2.1.0.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(image: str, *, scanner: str | None, fail_on: str, sarif: Path | None, as_json: bool) -> None:
    """Look at IMAGE for secrets, code in its model files, loose rights and packages that lack something.

    An image that is not here and has a registry in its name is pulled. Nothing of it is run.
    """
    import msgspec

    from tiffin.api.releases.scan import scan
    from tiffin.config.release import ReleaseSection
    from tiffin.durable import renamed
    from tiffin.errors import CommandError
    from tiffin.oci.documents import encode
    from tiffin.release.judge import refused, summary
    from tiffin.release.sarif import sarif as written

    found = scan(image, msgspec.convert({"scanner": scanner or "", "fail-on": fail_on}, ReleaseSection))
    if sarif:
        with renamed(sarif) as file:
            file.write(written(found.name, found.findings).encode())
    if as_json:
        click.echo(encode(found))
    elif found.findings:
        show(found.findings, ("level", "rule", "layer", "path", "message"), as_json=False)
    else:
        click.echo(summary(found.findings))
    if ending := refused(found.findings, fail_on):
        raise CommandError(f"{image}: {summary(found.findings)}", ending[0].hint)
