"""Run one program of an image for its output: becomes bubblewrap, and lives no longer than whoever started it."""

from __future__ import annotations

import json
import os
import sys

from tiffin.engine.embedded import stage


def main() -> None:
    """Read the launch from the command line and become it; standard streams go through."""
    launch: stage.Launch = json.loads(sys.argv[1])
    try:
        if launch["become"] is None:
            stage.enter_user_namespace()
        stage.build(launch, own_processes=False)
        stage.become(launch["become"])
        stage.exec_bubblewrap(launch, [0, 1, 2], [], stage.Tail([]))
    except OSError as error:
        os.write(2, f"tiffin: cannot prepare the container: {error}\n".encode())
        sys.exit(125)
