"""The pages in a real browser: filled in, sent, read, refused, at the width of a telephone and of a desk."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tiffin_serve.front.rest.openapi import Described, document
from tiffin_serve.front.rest.pages.serving import FILES, PAGE, SECURE
from tiffin_serve.protocol.examples import from_signature
from tiffin_serve.protocol.signature import Signature, TensorSpec
from unit.tiffin_serve.browsers import Browser
from unit.tiffin_serve.fronts import SRC, Server

pytestmark = pytest.mark.program("chromium")
FOLDER = SRC / "tiffin_serve" / "front" / "rest" / "pages"
ANSWERED = "document.getElementById('latency').innerText.includes('ms')"
PICTURES = """
import numpy as np
class Predictor:
    inputs = {"image": ("FP32", [-1, 3, 8, 8])}
    outputs = {"colours": ("FP32", [-1, 3])}
    def predict(self, inputs):
        return inputs["image"].mean(axis=(2, 3))
"""
NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """Give the browser, and hold against the page whatever it complained of."""
    chromium.complaints.clear()
    yield chromium
    chromium.do("1")
    assert chromium.complaints == []


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """Write a picture of one colour (PNG, third edition)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes(colour) * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def open_page(browser: Browser, server: Server | int, path: str = "/try", width: int = 1280) -> None:
    port = server if isinstance(server, int) else server.port
    browser.open(f"http://127.0.0.1:{port}{path}", width)
    browser.wait("document.querySelector('#try:not([hidden]), #docs:not([hidden])') !== null")


@pytest.mark.parametrize("width", [360, 1280])
def test_a_form_is_filled_in_sent_and_answered_with_a_chart(browser: Browser, iris: Server, width: int) -> None:
    open_page(browser, iris, "/", width)
    assert browser.text("h1") == "iris"
    fields = browser.do("[...document.querySelectorAll('#rows label')].map((label) => label.innerText)")
    assert fields == ["sepal length", "sepal width", "petal length", "petal width"]
    for place, value in enumerate(("5.1", "3.5", "1.4", "0.2")):
        browser.type(f"#rows .fields > div:nth-child({place + 1}) input", value)
    browser.click("#send")
    browser.wait(ANSWERED)
    assert browser.text("#result .one") == "setosa"
    assert browser.text("#result .bars li").startswith("setosa")
    wide, narrow = browser.do("[...document.querySelectorAll('.bars i')].map((bar) => bar.offsetWidth)")[:2]
    assert wide > narrow
    assert '"sepal length": 5.1' in browser.text("#snippet")
    assert browser.do("document.documentElement.scrollWidth") <= width


def test_several_rows_are_a_table(browser: Browser, iris: Server) -> None:
    open_page(browser, iris)
    browser.click("#add")
    browser.type("#rows fieldset:nth-child(2) input", "")  # a missing value, which this model refuses
    browser.click("#add")
    browser.click("#rows fieldset:nth-child(2) legend button")
    browser.click("#send")
    browser.wait(ANSWERED)
    assert browser.do("document.querySelectorAll('#result tbody tr').length") == 2
    assert browser.do("document.querySelectorAll('#result .bars').length") == 2
    assert browser.text("#rows fieldset:nth-child(2) legend span") == "Row 2"


def test_text_is_sent_as_what_it_is(browser: Browser, iris: Server, tmp_path: Path) -> None:
    open_page(browser, iris)
    browser.click("#tab-text")
    tensor = {"name": "input", "datatype": "FP64", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}
    for body, kind in (
        ("[[5.1, 3.5, 1.4, 0.2]]", "application/json"),
        ("5.1,3.5,1.4,0.2", "text/csv"),
        ("[5.1, 3.5, 1.4, 0.2]\n[5.1, 3.5, 1.4, 0.2]\n", "application/x-ndjson"),
        (json.dumps({"inputs": [tensor]}), "/v2/models/iris/infer"),
    ):
        browser.type("#text", body)
        assert kind in browser.text("#snippet")
        browser.click("#send")
        browser.wait(ANSWERED)
        assert "setosa" in browser.text("#result")
    (tmp_path / "rows.csv").write_text("petal width,sepal length,sepal width,petal length\n0.2,5.1,3.5,1.4\n")
    browser.choose_file("#file", tmp_path / "rows.csv")
    browser.wait("document.getElementById('text').value.startsWith('petal')")
    browser.click("#send")
    browser.wait(ANSWERED)
    assert browser.text("#result .one") == "setosa"


def test_a_refusal_is_the_servers_sentence(browser: Browser, iris: Server) -> None:
    open_page(browser, iris)
    browser.click("#tab-text")
    browser.type("#text", "[[1, 2]]")
    browser.click("#send")
    browser.wait("!document.getElementById('error').hidden")
    assert browser.text("#error") == "400: rows[0]: needs 4 values, not 2"
    assert browser.text("#result") == ""
    browser.type("#text", "[[1, 2, 3, 4]]")
    browser.click("#send")
    browser.wait(ANSWERED)
    assert browser.do("document.getElementById('error').hidden")
    # The browser itself writes down that an answer was 400; nothing else.
    assert [text for text in browser.complaints if "status of 400" not in text] == []
    browser.complaints.clear()


def test_a_picture_is_drawn_and_sent_as_a_tensor(
    browser: Browser, predictor: Callable[..., Server], tmp_path: Path
) -> None:
    server = predictor(PICTURES).ready()
    (tmp_path / "red.png").write_bytes(png(40, 20, (255, 0, 51)))
    open_page(browser, server)
    browser.choose_file("#picture", tmp_path / "red.png")
    browser.wait("document.getElementById('canvas').getContext('2d').getImageData(4, 4, 1, 1).data[2] === 51")
    browser.click("#send")
    browser.wait(ANSWERED)
    assert browser.do("[...document.querySelectorAll('#result td')].map((cell) => cell.innerText)") == [
        "1",
        "1",
        "0",
        "0.2",
    ]
    browser.do("document.getElementById('scale').value = 'byte'")
    browser.click("#send")
    browser.wait("document.querySelector('#result').innerText.includes('255')")
    (tmp_path / "no.png").write_bytes(b"no picture")
    browser.choose_file("#picture", tmp_path / "no.png")
    browser.wait("document.getElementById('error').innerText.startsWith('no.png is no picture')")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_document_is_shown(browser: Browser, iris: Server, width: int) -> None:
    open_page(browser, iris, "/docs", width)
    browser.wait("document.querySelectorAll('.operation').length > 20")
    assert "predict_proba" in browser.text("#docs")
    assert "virginica" in browser.text("#docs .shape > div:last-child")
    browser.do("for (const one of document.querySelectorAll('.operation')) one.open = true")
    assert '"sepal length": number | null' in browser.text("#docs")
    assert "[(number | null) \N{MULTIPLICATION SIGN} 4]" in browser.text("#docs")
    assert browser.do("document.documentElement.scrollWidth") <= width
    browser.click("#docs .inside a")
    browser.wait("location.pathname === '/try' && document.querySelector('#try:not([hidden])') !== null")


def test_python_that_is_shown_runs(browser: Browser, iris: Server, predictor: Callable[..., Server]) -> None:
    del predictor
    open_page(browser, iris)
    browser.click("#tab-python")
    found: list[Any] = []
    exec(browser.text("#snippet"), {"print": found.append})  # noqa: S102 - what it does is the point
    assert set(found[0]) == {"predictions", "probabilities", "classes"}


def test_controls_have_names_and_keys_choose_tabs(browser: Browser, iris: Server) -> None:
    open_page(browser, iris)
    unnamed = """[...document.querySelectorAll('input, select, textarea, button')].filter((one) =>
        !(one.labels && one.labels.length) && !one.innerText && !one.ariaLabel && one.checkVisibility())
        .map((one) => one.id)"""
    assert browser.do(unnamed) == []
    browser.do("document.getElementById('tab-form').focus()")
    browser.tell("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    assert browser.do("document.activeElement.id") == "tab-text"
    assert browser.do("document.getElementById('tab-text').ariaSelected") == "true"


def test_a_model_that_is_not_there_yet_is_waited_for(
    browser: Browser, predictor: Callable[..., Server], tmp_path: Path
) -> None:
    source = f"""
import pathlib, time
class Predictor:
    inputs = {{"x": ("FP64", [-1])}}
    def load(self, path):
        while not pathlib.Path({str(tmp_path / "go")!r}).exists():
            time.sleep(0.01)
    def predict(self, inputs):
        return inputs["x"]
"""
    server = predictor(source)
    browser.open(f"http://127.0.0.1:{server.port}/")
    browser.wait("document.getElementById('notice')?.innerText.startsWith('the model is not loaded')")
    (tmp_path / "go").touch()
    browser.wait("!document.getElementById('try').hidden")
    assert browser.text("#notice") == ""
    assert [text for text in browser.complaints if "status of 503" not in text] == []
    browser.complaints.clear()


class StandIn(BaseHTTPRequestHandler):
    """A server with our pages, a token, and a model that streams and has evil names."""

    signature = Signature(inputs=(TensorSpec(NASTY, "BYTES", (-1,)),), classes=(NASTY,), streams=True, platform=NASTY)
    paths: ClassVar[list[tuple[str, str]]] = [("POST", "/predict"), ("POST", "/v2/models/m/generate_stream")]
    asked: ClassVar[list[Any]] = []

    def _answer(self, status: int, body: bytes, headers: bytes) -> None:
        self.send_response(status)
        for line in headers.decode().splitlines():
            self.send_header(*line.split(": ", 1))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        name = PAGE if self.path == "/try" else self.path.removeprefix("/pages/")
        if name in FILES:
            self._answer(200, (FOLDER / name).read_bytes(), FILES[name] + SECURE)
        elif self.headers.get("authorization") != "Bearer s3cret-token":
            self._answer(401, b'{"error": "this server wants a token"}', b"content-type: application/json\r\n")
        else:
            model = Described("m", "1", "0", self.signature, from_signature(self.signature, {}))
            self._answer(200, json.dumps(document(model, self.paths)).encode(), b"content-type: application/json\r\n")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.asked.append((self.path, self.headers["authorization"], json.loads(body)))
        lines = [{"model_name": "m", "text": "one "}, {"model_name": "m", "text": NASTY}, {"model_name": "m", "n": 3}]
        self._answer(200, "\n".join(map(json.dumps, lines)).encode() + b"\n", b"content-type: application/x-ndjson\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_token_is_asked_for_streams_come_in_and_names_are_text(browser: Browser) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        browser.open(f"http://127.0.0.1:{server.server_port}/try")
        browser.wait("!document.getElementById('token-form').hidden")
        browser.type("#token", "s3cret-token")
        browser.click("#token-form button")
        browser.wait("!document.getElementById('try').hidden")
        assert NASTY in browser.text("header")
        assert browser.text("#rows label") == NASTY
        browser.click("#send")
        browser.wait(ANSWERED)
        assert browser.text(".stream").strip() == f"one {NASTY}3"
        assert browser.do("document.images.length") == 0
        assert StandIn.asked == [("/v2/models/m/generate_stream", "Bearer s3cret-token", {NASTY: "text"})]
        assert "$TOKEN" in browser.text("#snippet")
        assert "s3cret" not in browser.text("body")
        assert [text for text in browser.complaints if "status of 401" not in text] == []
        browser.complaints.clear()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
