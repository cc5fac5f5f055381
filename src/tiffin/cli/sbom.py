"""`tiffin sbom`: print what an image is made of."""

from __future__ import annotations

import click


@click.command("sbom")
@click.argument("image")
@click.option(
    "--format",
    "form",
    type=click.Choice(["cyclonedx", "spdx"]),
    default="cyclonedx",
    help="CycloneDX 1.6 or SPDX 2.3, both JSON.",
)
def command(image: str, form: str) -> None:
    """Print the bill of materials that IMAGE carries: packages, interpreter and model files, with their hashes."""
    from tiffin.api.images.sbom import sbom

    click.echo(sbom(image, form), nl=False)
