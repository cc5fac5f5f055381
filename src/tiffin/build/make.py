"""Make an image of a plan: what has been made before is taken, the rest is made at once, in parallel."""

from __future__ import annotations
