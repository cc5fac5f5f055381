"""`python -m tiffin_pipeline trace MODULE [NAME]` and `… step ORDER.json`: what the tool asks of a container."""

from __future__ import annotations

import gc
import sys

from tiffin_pipeline.main import main

if __name__ == "__main__":
    gc.freeze()  # what is imported by now stays to the end: nobody needs to look for cycles in it
    sys.exit(main(sys.argv[1:]))
