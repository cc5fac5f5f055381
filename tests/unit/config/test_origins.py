"""What tiffin.toml takes for an origin is what the server takes for one."""

from __future__ import annotations

import pytest

from tiffin.config.origins import origin_mistakes
from tiffin_serve.front.http.cors import Cors

GOOD = ["*", "null", "https://a.b", "http://localhost:3000", "http://[::1]:8080", "app+x://host", "https://A-b_c.d~"]
BAD = ["", "a.b", "https://a.b/", "https://a.b/path", "HTTPS://a.b", "https://", "https://a.b:", "https://a.b:x", "**"]
BAD += ["https://*.b", "https://a b", "https://a.b, https://c.d", "https://user@a.b", "https://a.b\n"]


@pytest.mark.parametrize("origin", [*GOOD, *BAD])
def test_tool_and_server_agree_on_origins(origin: str) -> None:
    mistakes = list(origin_mistakes(["*", origin]))
    if origin in GOOD:
        Cors(lambda _: None, [origin])
        assert mistakes == []
    else:
        with pytest.raises(ValueError, match="is no origin"):
            Cors(lambda _: None, [origin])
        assert [mistake.rpartition(" at ")[2] for mistake in mistakes] == ["`$.serve.cors[1]`"]
