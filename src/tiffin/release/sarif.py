"""Findings as SARIF 2.1.0 (OASIS), which GitHub and GitLab show beside the code, and another scanner's taken in. Pure.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from tiffin import __version__
from tiffin.errors import IntegrityError
from tiffin.oci.documents import encode
from tiffin.release.result import Finding, Level
from tiffin.release.rules import RULES

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION = "2.1.0"
_LEVELS = {"error": Level.ERROR, "warning": Level.WARNING, "note": Level.NOTE, "none": Level.NOTE}


def sarif(image: str, findings: Sequence[Finding], *, looked: bool = True) -> str:
    """Write findings, one run a tool; `looked` is false where nobody came to look."""
    tools = dict.fromkeys(["", *(finding.tool for finding in findings)])
    runs = [_run(tool, image, [one for one in findings if one.tool == tool], looked=looked) for tool in tools]
    document = {"$schema": SCHEMA, "version": VERSION, "runs": runs}
    return msgspec.json.format(encode(document)).decode() + "\n"


def _run(tool: str, image: str, findings: Sequence[Finding], *, looked: bool) -> dict[str, Any]:
    rules = sorted({finding.rule for finding in findings})
    driver: dict[str, Any] = {"name": tool or "tiffin", "rules": [_rule(rule) for rule in rules]}
    if not tool:
        driver |= {"version": __version__, "semanticVersion": __version__}
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"{tool or 'tiffin'}/{image}/"},
        "invocations": [{"executionSuccessful": looked}],
        "results": [_result(finding, rules.index(finding.rule), image) for finding in findings],
    }


def _rule(rule: str) -> dict[str, Any]:
    known = RULES.get(rule)
    if known is None:
        return {"id": rule}
    return {
        "id": rule,
        "shortDescription": {"text": known.about},
        "help": {"text": known.hint},
        "defaultConfiguration": {"level": known.level.value},
    }


def _result(finding: Finding, number: int, image: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": number,
        "level": finding.level.value,
        "message": {"text": finding.message + (f" (hint: {finding.hint})" if finding.hint else "")},
        "locations": [_location(finding, image)],
        "partialFingerprints": {"tiffin/v1": _fingerprint(finding)},
    }
    if finding.accepted:
        result["suppressions"] = [{"kind": "external", "justification": finding.accepted}]
    return result


def _location(finding: Finding, image: str) -> dict[str, Any]:
    """Where it is: a path of the image, and the layer; of what is the image's as a whole, the image."""
    physical = {
        "artifactLocation": {"uri": quote(finding.path or "tiffin.toml", safe="/")},
        "region": {"startLine": 1},
    }
    logical = {"name": finding.layer or image, "kind": "module"}
    return {"physicalLocation": physical, "logicalLocations": [logical]}


def _fingerprint(finding: Finding) -> str:
    """The same for the same thing in the next image, whatever line it is in."""
    return hashlib.sha256(f"{finding.tool}\0{finding.rule}\0{finding.path}".encode()).hexdigest()


def read_sarif(text: bytes, tool: str) -> tuple[Finding, ...]:
    """Read what another scanner found; raises IntegrityError for what is no SARIF."""
    try:
        document = msgspec.json.decode(text, type=dict[str, Any])
        return tuple(finding for run in document["runs"] for finding in _read_run(run, tool))
    except (msgspec.MsgspecError, LookupError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"what {tool} wrote is no SARIF 2.1.0: {error}", f"`{tool} --version` says which it is"
        ) from error


def _read_run(run: Mapping[str, Any], tool: str) -> Iterator[Finding]:
    rules = {rule["id"]: rule for rule in run["tool"]["driver"].get("rules", ())}
    for result in run.get("results") or ():
        rule = rules.get(result.get("ruleId", ""), {})
        level = result.get("level") or rule.get("defaultConfiguration", {}).get("level", "warning")
        yield Finding(
            rule=str(result.get("ruleId", "unnamed")),
            level=_LEVELS[level],
            message=str(result["message"].get("text", "")),
            path=_path(result),
            hint=str(rule.get("helpUri", "")),
            tool=tool,
        )


def _path(result: Mapping[str, Any]) -> str:
    for location in result.get("locations") or ():
        return str(location.get("physicalLocation", {}).get("artifactLocation", {}).get("uri", ""))
    return ""
