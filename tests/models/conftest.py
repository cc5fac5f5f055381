"""Real fronts, as the server's own tests start them."""

from __future__ import annotations

from unit.tiffin_serve.conftest import predictor, serve

__all__ = ["predictor", "serve"]
