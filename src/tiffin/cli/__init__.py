"""Read arguments, call one verb, print the result; one file a command."""

from __future__ import annotations

import gc
import os
import sys

from tiffin.api.containers.warm import run as run_again
from tiffin.errors import TiffinError


def main() -> None:
    """Run the command line; the exit status is the error's.

    What is run again as it was before needs little of what a command line is made of, and so imports little of it.
    """
    try:
        status = run_again(sys.argv[1:], os.environ)
    except (TiffinError, OSError, KeyboardInterrupt) as error:
        from tiffin.cli.verbs import explained

        status = explained(error)
    if status is None:
        from tiffin.cli.verbs import run

        status = run()
    gc.freeze()  # what is left goes with the process; looking for cycles in it takes as long as some commands
    sys.exit(status)
