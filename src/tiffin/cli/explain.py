"""`tiffin explain`: say what every byte of an image is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from tiffin.cli.amounts import human_size
from tiffin.cli.table import show

if TYPE_CHECKING:
    from tiffin.build.conversion import Report

PACKAGES = 15
"""Packages that people are shown; `--json` has all."""
WORTH = 100_000
"""Bytes from which a repetition is worth a line to people."""


@click.command("explain")
@click.argument("image")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every layer, package, repetition and saving.")
def command(image: str, *, as_json: bool) -> None:
    """Say what every byte of IMAGE is: layers, packages, the biggest files, and what it could do without."""
    from tiffin.api.images.explain import explain
    from tiffin.oci.documents import encode

    found = explain(image)
    if as_json:
        click.echo(encode(found))
        return
    sizes = f"{human_size(found.packed)} packed, {human_size(found.unpacked)} unpacked"
    click.echo(f"{found.name} ({found.platform}): {sizes}, {len(found.layers)} layers, {found.files} files")
    if found.cuda:
        click.echo(f"CUDA {found.cuda}, NVIDIA driver {found.driver or 'unknown'}")
    if found.gpu:
        click.echo(f"GPU {found.gpu}")
    if found.conversion:
        _conversion(found.conversion)
    for data in found.data:
        click.echo(f"Data {data.name} must be mounted at {data.path}, {'writable' if data.write else 'read-only'}")
    _section("", found.layers, ("layer", "packed", "unpacked", "files"))
    _section("Packages", found.packages[:PACKAGES], ("name", "version", "unpacked", "files", "kind"))
    _section("Biggest files", found.biggest, ("size", "path", "layer"))
    repeated = [row for row in found.repeated if row.wasted >= WORTH]
    _section("The same content in several places", repeated, ("wasted", "paths"))
    _section("The same library in several builds", found.libraries, ("wasted", "name", "paths"))
    _section("Replaced or deleted by a layer above", found.hidden[:PACKAGES], ("size", "path", "layer"))
    _section("Not needed to serve (packed is an estimate)", found.slim, ("what", "unpacked", "packed", "files"))


def _conversion(report: Report) -> None:
    from tiffin.build.conversion import said, timed

    click.echo(f"Converted to ONNX from {report.format}, {report.precision} precision: {said(report)}")
    click.echo(f"Latency without HTTP: {timed(report)}")


def _section(title: str, rows: Sequence[msgspec.Struct], columns: Sequence[str]) -> None:
    if rows:
        click.echo(f"\n{title}" if title else "")
        show(rows, columns, as_json=False)
