"""Let `python -m tiffin` be `tiffin`."""

from tiffin.cli import main

main()
