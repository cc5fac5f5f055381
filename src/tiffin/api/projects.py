"""What is done with a project's folder: init, lock, build."""

from __future__ import annotations
