from __future__ import annotations

import math
import random
import xml.etree.ElementTree as ET
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import ConfigError
from tiffin.traffic.address import Question, read_address
from tiffin.traffic.judge import SameAs
from tiffin.traffic.latencies import Latencies
from tiffin.traffic.load import Measured
from tiffin.traffic.picture import svg
from tiffin.traffic.report import lines, make_report
from tiffin.traffic.schedule import Load, due
from tiffin.traffic.wire import Answer, AnswerReader, WireError


@given(st.lists(st.floats(1e-6, 900), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_right_to_one_percent(seconds: list[float], share: float) -> None:
    latencies = Latencies()
    for value in seconds:
        latencies.add(value)
    exact = sorted(seconds)[max(math.ceil(share * len(seconds)), 1) - 1]
    assert latencies.quantile(share) == pytest.approx(exact, rel=0.011)
    assert sum(count for _, count in latencies.filled()) == len(seconds)


def test_poisson_arrivals_are_the_same_for_a_seed_and_come_at_their_rate() -> None:
    load = Load(seconds=99, warm_up=1, rate=100)
    moments = list(due(load))
    assert moments == list(due(load)) == sorted(moments)
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    gaps = [after - before for before, after in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    assert math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) == pytest.approx(mean, rel=0.05)


def test_even_arrivals_are_evenly_spaced() -> None:
    assert list(due(Load(seconds=1, warm_up=0, rate=4, even=True))) == pytest.approx([0.25, 0.5, 0.75])


@pytest.mark.parametrize("change", [{"seconds": 0}, {"connections": 0}, {"rate": -1}, {"time_out": 0}])
def test_a_load_that_makes_no_sense_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        msgspec.structs.replace(Load(), **change).check()


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"


@pytest.mark.parametrize("data", [WHOLE, CHUNKED])
def test_an_answer_is_found_however_it_is_cut(data: bytes) -> None:
    for size in range(1, len(data)):
        reader = AnswerReader()
        found = [reader.feed(data[start : start + size]) for start in range(0, len(data), size)]
        assert [answer for answer in found if answer] == [Answer(200, b"hello", keep=True)]


def test_a_connection_that_closes_is_not_asked_again() -> None:
    answer = AnswerReader().feed(b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert answer == Answer(503, b"", keep=False)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        AnswerReader().feed(data)


def test_a_question_names_its_host_and_its_length() -> None:
    sent = Question(path="/predict", body=b"[]").encode(read_address("http://[::1]:8080/base/"))
    assert sent.startswith(b"POST /base/predict HTTP/1.1\r\nHost: [::1]:8080\r\n")
    assert sent.endswith(b"Content-Length: 2\r\n\r\n[]")


@pytest.mark.parametrize("url", ["iris", "ftp://x", "http://", "http://x:port"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        read_address(url)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'{"a": [1.0, "x"]}', True),
        (b'{"a":[1.0000000001,"x"]}', True),
        (b'{"a":[1.1,"x"]}', False),
        (b'{"a":[1.0,"y"]}', False),
        (b'{"a":[1.0]}', False),
        (b'{"b":[1.0,"x"]}', False),
        (b"nonsense", False),
    ],
)
def test_answers_may_differ_in_their_last_digits_only(body: bytes, *, verdict: bool) -> None:
    assert SameAs(b'{"a":[1.0,"x"]}')(Answer(200, body, keep=True)) is verdict


def measured(count: int) -> Measured:
    chance, found = random.Random(1), Measured(latencies=Latencies(), seconds=2, answered=count)  # noqa: S311 - numbers to draw
    for place in range(count):
        found.latencies.add(chance.expovariate(1000))
        found.by_second[place % 2] += 1
    return found


def test_a_report_says_rate_quantiles_and_failures() -> None:
    found = measured(2000)
    found.errors["status 503"] = 3
    said = "\n".join(lines(make_report("http://x/predict", Load(seconds=2), found)))
    assert "answered   1,000.0 a second" in said
    assert "3 status 503" in said
    assert "p99 " in said


@pytest.mark.parametrize("count", [0, 1, 2000])
def test_a_picture_is_xml_whatever_was_measured(count: int) -> None:
    root = ET.fromstring(svg(make_report("http://x/<predict>", Load(seconds=2), measured(count))))  # noqa: S314 - as above
    assert root.tag.endswith("svg")
