"""Starts the front from a checkout: `python -m tiffin_serve.front ROLE`."""

import sys

from tiffin_serve.front.main import main

if __name__ == "__main__":
    sys.exit(main())
