"""Starts the worker; in an image this file is /opt/tiffin/worker/__main__.py."""

import sys

from tiffin_serve.worker.main import main

if __name__ == "__main__":
    sys.exit(main())
