"""Starts the relay: `python -m tiffin_serve.relay --table table.json`."""

import sys

from tiffin_serve.relay.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
