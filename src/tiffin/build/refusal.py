"""The words of the start-up proof: why an image is refused and what would help, and what is only worth a note. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from tiffin.build.proof import Finding, Verdict
from tiffin.errors import ConfigError
from tiffin.packages.debian.sonames import guess, package_of

_SITE = "opt/venv/lib/site-packages/"
_MOST = 8
"""Reasons of one kind that are told; of more their number is."""
_HEADLESS = {
    "opencv-python": "opencv-python-headless",
    "opencv-contrib-python": "opencv-contrib-python-headless",
}
"""Wheels that show windows, and the same without."""


def refusal(verdict: Verdict, suite: str, allowed: Collection[str] = ()) -> ConfigError | None:
    """Return the error that says everything that keeps an image from starting; None where nothing does."""
    fatal = [found for found in verdict.fatal if not {found.fault.library, found.fault.version} & set(allowed)]
    reasons = [*(f"{name} is for another Python, glibc or machine" for name in verdict.misfits), *_reasons(fatal)]
    if not reasons:
        return None
    shown = [f"\n    {reason}" for reason in reasons[:_MOST]]
    if len(reasons) > _MOST:
        shown.append(f"\n    and {len(reasons) - _MOST} more")
    return ConfigError(f"the image could not start:{''.join(shown)}", "; ".join(_fixes(verdict, fatal, suite)))


def notes(verdict: Verdict, allowed: Collection[str] = ()) -> list[str]:
    """Return sentences about what is odd and not fatal."""
    excused = [found for found in verdict.fatal if {found.fault.library, found.fault.version} & set(allowed)]
    said = [
        f"{owner}: {_some(files)} would not load: {', '.join(wants)}; the rest of it does without"
        for owner, wants, files in _summed([*verdict.noted, *excused])
    ]
    said += [
        f"{owner}: {_some(files)} needs {', '.join(wants)}, found only once another package has loaded it"
        for owner, wants, files in _summed(verdict.elsewhere)
    ]
    if verdict.damaged:
        said.append(f"not read as the ELF files they say they are: {_some([_short(path) for path in verdict.damaged])}")
    if verdict.driver:
        said.append(f"{', '.join(verdict.driver)} cannot be imported without NVIDIA's driver")
    return said


def _reasons(fatal: Iterable[Finding]) -> list[str]:
    """One line for each thing that a package lacks, by the first file that shows it."""
    firsts: dict[tuple[str, str], Finding] = {}
    for found in fatal:
        firsts.setdefault((found.owner, _want(found)), found)
    return [
        f"{owner} needs {want}, which is not in the image ({_short(found.fault.path)})"
        for (owner, want), found in firsts.items()
    ]


def _fixes(verdict: Verdict, fatal: list[Finding], suite: str) -> Iterator[str]:
    if verdict.misfits:
        yield f"`tiffin lock` chooses wheels for the image's Python and its glibc {_dotted(verdict.glibc)}"
    missing = sorted({found.fault.library for found in fatal if not found.fault.version})
    known = {library: package_of(library, suite) for library in missing}
    if found := sorted({package for package in known.values() if package}):
        listed = ", ".join(f'"{package}"' for package in found)
        yield f"add `packages = [{listed}]` to `[image]` in tiffin.toml"
    for owner in sorted({found.owner for found in fatal if not found.fault.version} & _HEADLESS.keys()):
        yield f"or require {_HEADLESS[owner]} in the place of {owner}: it needs none of these"
    for library in (library for library, package in known.items() if not package):
        called = f", which Debian would call {guess(library)}" if guess(library) else ""
        yield f"name the Debian package that has {library}{called}, in `[image] packages`"
    if owners := sorted({found.owner for found in fatal if found.fault.version}):
        yield f"take releases of {', '.join(owners)} made for glibc {_dotted(verdict.glibc)}, or a newer base"
    if fatal:
        names = sorted({found.fault.version or found.fault.library for found in fatal})[:_MOST]
        yield f"or, if nothing of it is used, `allow-missing = [{', '.join(map(_quoted, names))}]` in `[image]`"


def _summed(findings: Iterable[Finding]) -> list[tuple[str, list[str], list[str]]]:
    """Sum findings up by package: what it lacks, and the files that cannot be loaded."""
    sums: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for found in findings:
        wants, files = sums.setdefault(found.owner, ({}, {}))
        wants[_want(found)] = None
        files[_short(found.at)] = None
    return [(owner, list(wants)[:_MOST], list(files)) for owner, (wants, files) in sorted(sums.items())]


def _want(found: Finding) -> str:
    fault = found.fault
    return f"{fault.version} of {fault.library}" if fault.version else fault.library


def _some(files: list[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"


def _short(path: str) -> str:
    return path.removeprefix(_SITE)


def _quoted(text: str) -> str:
    return f'"{text}"'


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
