"""`python -m tiffin_serve --check-oip URL`: hold any server against the Open Inference Protocol."""

from __future__ import annotations

import sys

from tiffin_serve.conformance.command import main

if __name__ == "__main__":
    sys.exit(main())
