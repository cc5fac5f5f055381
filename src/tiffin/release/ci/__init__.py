"""Files for CI systems that call exactly `tiffin release`: pure functions from what is released to a text."""
