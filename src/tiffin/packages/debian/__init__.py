"""Debian's archive: mirrors, the signed index, which packages a root set comes to, and their files."""
