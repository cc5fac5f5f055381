"""Starts the worker from a checkout: `python -m tiffin_serve.worker`."""

import sys

from tiffin_serve.worker.main import main

if __name__ == "__main__":
    sys.exit(main())
