"""`python -m tiffin_pipeline trace MODULE [NAME]` and `… step ORDER.json`: what the tool asks of a container."""

from __future__ import annotations

import sys

from tiffin_pipeline.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
