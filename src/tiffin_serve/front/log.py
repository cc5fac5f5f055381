"""What the front says: sentences for people, and errors as one JSON line each, all on standard error."""

from __future__ import annotations

import json
import sys
import time


def say(sentence: str) -> None:
    """Tell a person something."""
    print(f"tiffin: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 - the container's log is standard error


def report(message: str, **fields: object) -> None:
    """Log an error as one line of JSON."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "level": "error", "message": message, **fields}
    print(json.dumps(line, default=str), file=sys.stderr, flush=True)  # noqa: T201 - the container's log
