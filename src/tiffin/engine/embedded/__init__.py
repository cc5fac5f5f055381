"""The embedded engine: bubblewrap on unpacked layers, under one small keeper a container; no root, no daemon.

`engine` and `container` are what callers see. `launch` and `argv` decide purely; `keeper`, `stage` and `linux` are the
program that outlives the command line: standard library only, so that it starts in a few milliseconds.
"""
