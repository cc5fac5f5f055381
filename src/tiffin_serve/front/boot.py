"""Starts the front; in an image this file is /opt/tiffin/front/__main__.py."""

import sys

from tiffin_serve.front.main import main

if __name__ == "__main__":
    sys.exit(main())
