"""Scanners of vulnerabilities that a machine may have: how each is asked about a bill of materials. Pure.

Neither is given the image: what it is made of is in its bill of materials, and that is what both look up.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

SCANNERS: dict[str, Callable[[Path], list[str]]] = {
    "grype": lambda bom: ["grype", f"sbom:{bom}", "--output", "sarif", "--quiet"],
    "trivy": lambda bom: ["trivy", "sbom", "--format", "sarif", "--quiet", str(bom)],
}
"""The command that writes SARIF to its standard output, by the scanner's name."""
