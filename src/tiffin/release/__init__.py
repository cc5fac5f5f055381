"""Build, test and release: one plan of named steps, carried out in order, and written out for CI systems."""
