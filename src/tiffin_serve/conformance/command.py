"""The command line, and the table of what was found."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from typing import NamedTuple

from tiffin_serve.conformance import extensions, refusals
from tiffin_serve.conformance.asking import Asking, Failed, Skipped
from tiffin_serve.conformance.checks import CHECKS, Check
from tiffin_serve.conformance.subject import Subject

TABLES = (CHECKS, refusals, extensions)
"""Importing the modules fills the table."""
FAILED, UNREACHABLE = 1, 2


class Finding(NamedTuple):
    """What became of a check: `pass`, `fail` or `skip`, and why."""

    check: str
    section: str
    result: str
    reason: str


def main(arguments: list[str] | None = None) -> int:
    """Hold a server against the protocol; returns 0, 1 where it fails, 2 where it could not be asked."""
    options = _parser().parse_args(arguments)
    try:
        asking = Asking(options.check_oip, options.token)
        asking.get("/v2/health/live")
        subject = Subject(asking, options.model or _only_model(asking))
        findings = [find(check, subject) for check in CHECKS]
    except (OSError, ValueError, Failed) as error:
        sys.stderr.write(f"error: {options.check_oip} cannot be checked: {error}\n")
        return UNREACHABLE
    sys.stdout.write(_document(findings) if options.json else table(findings))
    return FAILED if any(finding.result == "fail" for finding in findings) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tiffin_serve", description="Hold any server against the Open Inference Protocol v2 (REST)."
    )
    parser.add_argument("--check-oip", metavar="URL", required=True, help="the server, such as http://localhost:8080")
    parser.add_argument("--model", default="", help="the model to ask (default: the first of the repository's index)")
    parser.add_argument("--token", default="", help="a bearer token to send along")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


def _only_model(asking: Asking) -> str:
    """Give the first model of the repository's index; raises ValueError where the server has no index."""
    try:
        index = asking.post("/v2/repository/index", {}).json()
    except Failed:
        index = None
    if not isinstance(index, list) or not index or not isinstance(index[0], dict) or not index[0].get("name"):
        raise ValueError("the server has no index of its models; name one with --model")
    return str(index[0]["name"])


def find(check: Check, subject: Subject) -> Finding:
    """Make one check; an answer that breaks the check itself is a failure of the server."""
    result, reason = "pass", ""
    try:
        check.run(subject)
    except Failed as failed:
        result, reason = "fail", str(failed)
    except Skipped as skipped:
        result, reason = "skip", str(skipped)
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        result, reason = "fail", f"the answer is of another form: {error!r}"
    except OSError as error:
        result, reason = "fail", f"no answer: {error}"
    return Finding(check.name, check.section, result, reason)


def table(findings: list[Finding]) -> str:
    """Write a line a check, and how many there were of each kind."""
    width = max(len(finding.section) for finding in findings)
    lines = [
        f"{finding.result}  {finding.section:{width}}  {finding.check}" + (f": {finding.reason}" * bool(finding.reason))
        for finding in findings
    ]
    counts = Counter(finding.result for finding in findings)
    return "\n".join([*lines, "", f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped", ""])


def _document(findings: list[Finding]) -> str:
    return json.dumps([finding._asdict() for finding in findings], indent=2) + "\n"
