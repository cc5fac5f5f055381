"""Who may ask, whose pages may, and what is written down of it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tiffin_serve.front.http.bearer import Tokens, read_tokens
from tiffin_serve.front.http.cors import Cors
from tiffin_serve.front.log import Writer
from unit.tiffin_serve.fronts import DEADLINE, SRC, Server, wait_for
from unit.tiffin_serve.test_http import request

Own = Callable[..., Server]
DOUBLE = """
class Predictor:
    inputs = {"x": ("INT64", [-1])}
    def predict(self, inputs):
        import os
        if 7 in inputs["x"].tolist():
            return [str(os.environ.get("TIFFIN_BEARER_TOKEN"))]
        return inputs["x"] * 2
"""
TOKEN = "correct-horse-battery"  # noqa: S105 - nobody's
NEW = "staple-staple-staple"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BEARER = {"serve": {"auth": "bearer"}}


# --- tokens


def test_who_has_a_token_may_ask_and_everyone_may_ask_for_health(predictor: Own) -> None:
    server = predictor(DOUBLE, **BEARER, environment={"TIFFIN_BEARER_TOKEN": f"{TOKEN}\n{NEW}\n"}).ready()
    for token in (TOKEN, NEW):
        for scheme in ("Bearer", "bearer"):
            headers = {"Authorization": f"{scheme} {token}"}
            assert server.ask("POST", "/predict", [2], headers) == (200, {"predictions": [4]})
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert server.ask("GET", path)[0] == 200
    status, headers, answer = server.ask_whole("POST", "/predict", [2])
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="tiffin"')
    assert answer == {"error": "this server wants a token: send `Authorization: Bearer TOKEN`"}
    for given in (
        "Bearer wrong-wrong",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        "Bearer",
        "",
        f"Bearer {TOKEN}, Bearer x",
    ):
        status, headers, answer = server.ask_whole("GET", "/v2", None, {"Authorization": given})
        assert (status, list(answer)) == (401, ["error"])
        assert 'error="invalid_token"' in headers["www-authenticate"]
    for path in ("/V2/health/live", "/v2/health", "/", "/v2/models/iris/ready"):
        assert server.ask("GET", path)[0] == 401
    for path in ("/v2/health/../models/iris", "/v2/health/%2e%2e/models/iris"):
        assert server.ask("GET", path)[0] == 404


def test_the_model_does_not_see_the_token(predictor: Own) -> None:
    server = predictor(DOUBLE, **BEARER, environment={"TIFFIN_BEARER_TOKEN": TOKEN}).ready()
    answer = server.ask("POST", "/predict", [7], {"Authorization": f"Bearer {TOKEN}"})
    assert answer == (200, {"predictions": ["None"]})


def test_a_file_may_have_the_tokens(predictor: Own, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"\n{TOKEN}\n")
    server = predictor(DOUBLE, **BEARER, environment={"TIFFIN_BEARER_TOKEN_FILE": str(tmp_path / "tokens")}).ready()
    assert server.ask("GET", "/v2", None, {"Authorization": f"Bearer {TOKEN}"})[0] == 200
    assert server.ask("GET", "/v2")[0] == 401


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, r'\[serve\] auth is "bearer" and there is no token: set TIFFIN_BEARER_TOKEN, or mount a file'),
        ({"TIFFIN_BEARER_TOKEN": "short"}, "TIFFIN_BEARER_TOKEN: a token is 8 ASCII characters at least"),
        ({"TIFFIN_BEARER_TOKEN": "with blank in it"}, "without blanks"),
        ({"TIFFIN_BEARER_TOKEN_FILE": "/dev/null"}, "/dev/null: there is no token; write one a line"),
        ({"TIFFIN_BEARER_TOKEN_FILE": "/nowhere/at/all"}, "No such file.*/nowhere/at/all"),
    ],
)
def test_a_server_without_a_token_does_not_start(predictor: Own, environment: dict[str, str], sentence: str) -> None:
    server = predictor(DOUBLE, **BEARER, environment=environment)
    assert server.process.wait(DEADLINE) == 2
    (line,) = server.log.splitlines()
    assert re.search(sentence, line), line


def test_a_secret_where_engines_put_it_is_found(tmp_path: Path) -> None:
    (tmp_path / "bearer-token").write_text(TOKEN)
    tokens = read_tokens({}, str(tmp_path / "bearer-token"))
    assert tokens.accept(f"Bearer {TOKEN}".encode())
    assert not tokens.accept(TOKEN.encode())


def test_no_token_is_no_key() -> None:
    assert not Tokens([]).accept(b"Bearer ")


# --- other origins


def allowed(headers: dict[str, str]) -> tuple[str | None, str | None]:
    return headers.get("access-control-allow-origin"), headers.get("access-control-allow-credentials")


def test_pages_of_named_origins_may_ask(predictor: Own) -> None:
    origin = "https://app.example:8443"
    both = {"serve": {"cors": [origin, "http://localhost:3000"], "auth": "bearer", "header_seconds": 1}}
    server = predictor(DOUBLE, **both, environment={"TIFFIN_BEARER_TOKEN": TOKEN}).ready()
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    status, headers, nothing = server.ask_whole("OPTIONS", "/predict", None, ask)
    assert (status, nothing, allowed(headers)) == (200, None, (origin, "true"))
    assert "POST" in headers["access-control-allow-methods"]
    assert "authorization" in headers["access-control-allow-headers"]
    status, headers, _ = server.ask_whole(
        "POST", "/predict", [2], {"Origin": origin, "Authorization": f"Bearer {TOKEN}"}
    )
    assert (status, allowed(headers), headers["vary"]) == (200, (origin, "true"), "origin")
    for more, expected in (({}, 401), ({"Content-Length": "99999999999"}, 413)):
        status, headers, _ = server.ask_whole("POST", "/predict", b"", {"Origin": origin} | more)
        assert (status, allowed(headers)) == (expected, (origin, "true"))
    for other in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        status, headers, _ = server.ask_whole("GET", "/v2/health/live", None, other)
        assert (status, allowed(headers), headers["vary"]) == (200, (None, None), "origin")


def test_pages_of_all_origins_may_ask_without_credentials(predictor: Own) -> None:
    server = predictor(DOUBLE, serve={"cors": ["*", "https://app.example"]}).ready()
    for headers in ({"Origin": "https://app.example"}, {"Origin": "null"}, {}):
        assert allowed(server.ask_whole("GET", "/v2", None, headers)[1]) == ("*", None)


def test_without_cors_nobody_is_told_of_origins(iris: Server) -> None:
    status, headers, answer = iris.ask_whole(
        "OPTIONS", "/predict", None, {"Origin": "https://a", "Access-Control-Request-Method": "POST"}
    )
    assert (status, answer, headers["allow"]) == (200, None, "POST, OPTIONS")
    assert allowed(headers) == (None, None)
    assert "vary" not in headers


@pytest.mark.parametrize("origin", ["app.example", "https://app.example/", "https://*.example", "https://a b", ""])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match=r"is no origin; write https://host\[:port\], or \* for all"):
        Cors(lambda _: None, [origin])


# --- names of requests, and the log


def test_an_answer_has_the_name_of_its_request(iris: Server) -> None:
    names = {iris.ask_whole("GET", "/v2")[1]["x-request-id"] for _ in range(3)}
    assert len(names) == 3
    assert iris.ask_whole("GET", "/v2", None, {"X-Request-Id": "order-7:a"})[1]["x-request-id"] == "order-7:a"
    for strange in ("x" * 129, "a b", 'a"b', ""):
        assert iris.ask_whole("GET", "/v2", None, {"X-Request-Id": strange})[1]["x-request-id"] != strange


def lines(server: Server) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line for line in found if line["message"] == "request"]


def test_every_answer_is_a_line_of_the_access_log(predictor: Own) -> None:
    server = predictor(DOUBLE, serve={"access_log": True, "header_seconds": 1}).ready()
    traced = {"X-Request-Id": "seven", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    server.ask("POST", "/predict?key=secret", [2], traced)
    server.ask("GET", "/none", None, {"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"})
    assert server.raw(b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    server.ask("HEAD", "/v2/health/live")
    wait_for(lambda: "HEAD" in {line["method"] for line in lines(server)}, "written")
    first, second, third, fourth = lines(server)[-4:]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert 0 < first.pop("seconds") < DEADLINE
    assert first == {
        "level": "info",
        "message": "request",
        "method": "POST",
        "path": "/predict",
        "status": 200,
        "bytes": len('{"predictions":[4]}'),
        "request_id": "seven",
        "trace_id": TRACE,
        "client": "127.0.0.1",
        "model": "iris",
    }
    assert (second["status"], "trace_id" in second) == (404, False)
    assert (third["status"], third["method"]) == (400, "")
    assert (fourth["method"], fourth["bytes"]) == ("HEAD", 0)


def test_the_last_lines_are_written_before_the_end(predictor: Own) -> None:
    server = predictor(DOUBLE, serve={"access_log": True}).ready()
    server.ask("GET", "/last")
    assert server.stop() == 0
    assert lines(server)[-1]["path"] == "/last"


def test_without_the_access_log_there_are_no_lines(iris: Server) -> None:
    assert not lines(iris)


def test_a_log_that_nobody_reads_stops_nobody_and_says_what_it_lost(tmp_path: Path, predictor: Own) -> None:
    """Standard error is a pipe that is full: requests are answered, and the lines that are lost are counted."""
    quiet = predictor(DOUBLE).ready()  # writes the service document that the other one uses, too
    (document,) = tmp_path.glob("service*.json")
    service = json.loads(document.read_text())
    service["serve"]["access_log"] = True
    document.write_text(json.dumps(service))
    quiet.stop()
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "tiffin_serve.front", "all", "--service", str(document)],
        env={**os.environ, "PYTHONPATH": str(SRC), "TIFFIN_HTTP_PORT": str(port), "TIFFIN_METRICS_PORT": "0"},
        stderr=subprocess.PIPE,
    ) as process:
        wait_for(lambda: connects(port), "listening")
        ping = request(b"/v2/health/live", headers=b"X-Long: " + b"x" * 1000 + b"\r\n")
        asked = 0
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
            for _ in range(40):
                client.sendall(ping * 1000)
                asked += 1000
                got = b""
                while got.count(b'{"live":true}') < 1000:
                    got += client.recv(1 << 20)
        process.terminate()
        assert process.stderr is not None
        found = [json.loads(line) for line in process.stderr.read().splitlines() if line.startswith(b"{")]
        assert process.wait(DEADLINE) == 0
    written = sum(line["message"] == "request" for line in found)
    assert written < asked


def test_a_writer_counts_what_it_drops() -> None:
    reading, writing = os.pipe()
    writer = Writer(writing, lines=3)
    full = b"x" * 1_000_000
    writer.put_later(lambda: full + b"\n", 1)
    for _ in range(9):
        writer.put_later(lambda: b"line\n", 1)
    got = b""
    while not got.endswith(b"\nline\nline\n"):
        got += os.read(reading, 1 << 20)
    deadline = time.monotonic() + DEADLINE
    while writer._written < 3:
        assert time.monotonic() < deadline
    writer.put_later(lambda: b"again\n", 1)
    writer.stop()
    *_, warning, again = os.read(reading, 1 << 20).splitlines()
    assert json.loads(warning)["lines"] == 7
    assert again == b"again"
    os.close(reading)
    os.close(writing)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


def connects(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0
