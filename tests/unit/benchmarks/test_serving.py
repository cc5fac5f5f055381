"""Servers side by side: what is asked, how answers are judged, and what the page makes of the figures."""

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from benchmarks.measures import outcomes
from benchmarks.page import Circumstances
from benchmarks.results import Results
from benchmarks.serving import oip, words
from benchmarks.serving.asking import read_wrk
from benchmarks.serving.cases import IMAGE, IMAGE_BINARY, IMAGE_SHAPE, LR, NOOP, ROW, Case
from benchmarks.serving.page import cell, number, page, promise_table
from benchmarks.serving.peer import Job, Peer
from benchmarks.serving.peers import EVERYONE, bare, plain, tiffin
from benchmarks.serving.processes import of_session, spent
from benchmarks.serving.promises import PROMISES, others
from benchmarks.serving.running import end
from benchmarks.serving.samples import Samples, equal
from benchmarks.serving.turns import Kitchen, Length, Turn, long_enough, right

SAMPLES = Samples(
    rows=[[1.0, 2.0, 3.0, 4.0], [0.5, 0.25, 0.0, 1.0]],
    pixels=b"\0\0\x80\x3f" * (3 * 224 * 224),
    expected={NOOP: [10.0, 1.75], LR: [0.0, 2.0], IMAGE: [0.5] * 10},
    seconds={NOOP: 1e-6, LR: 1e-4},
)
CIRCUMSTANCES = Circumstances("`x`", "2026-01-01", "a machine", "tiffin 1", "load 0")
WRK = """\
Running 1s test @ http://127.0.0.1:1
  1 threads and 16 connections
  Latency Distribution
     50%  480.00us
     75%    0.90ms
     90%    1.20ms
     99%    2.10ms
  2000 requests in 1.00s, 1.00MB read
  Socket errors: connect 0, read 1, write 2, timeout 0
Requests/sec:   1999.50
"""


def test_wrk_is_read_to_seconds_and_cpu_is_shared_among_its_requests() -> None:
    figures = read_wrk(WRK, front=0.05, whole=0.08)
    assert (figures.rate, figures.p50, figures.p99) == pytest.approx((1999.5, 480e-6, 2.1e-3))
    assert (figures.front, figures.rest, figures.cpu) == pytest.approx((25e-6, 15e-6, 40e-6))
    assert figures.lost == 3


def test_answers_that_are_no_success_fail_a_load_of_wrk() -> None:
    with pytest.raises(AssertionError, match="7 answers that are no success"):
        read_wrk(f"{WRK}  Non-2xx or 3xx responses: 7\n", 0, 0)


def test_a_slow_server_is_asked_for_longer_but_not_without_end() -> None:
    assert long_enough(1.0, 16, 0.001) == 1.0
    assert long_enough(1.0, 64, 0.02) == pytest.approx(2.56)
    assert long_enough(1.0, 64, 9.0) == 5.0


def test_cpu_between_two_looks_counts_processes_that_came_and_not_those_that_went() -> None:
    before, after = {1: 1.0, 2: 5.0}, {1: 1.5, 3: 0.25}
    assert spent(before, after) == 0.75
    assert spent(before, after, 1) == 0.5


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"outputs":[]}', b'{"outputs":[{"data":[10.0,1.0]}]}', b'{"outputs":[{"data":["a"]}]}', b"[1]"],
)
def test_an_answer_without_the_right_numbers_is_wrong(body: bytes) -> None:
    assert not right([10.0], oip.read)(body)


def test_an_answer_is_right_within_rounding() -> None:
    judge = right([10.0, 1.75], oip.read)
    assert judge(b'{"outputs":[{"data":[10.0,1.75]}]}')
    assert judge(b'{"outputs":[{"data":[[10.0],[1.7500001]]}]}')
    assert not equal([1.0], [1.0, 1.0])


@pytest.mark.parametrize("body", [b'{"predictions":[[1,2],[3]]}', b"[1,2,3]"])
def test_plain_answers_are_objects_or_lists(body: bytes) -> None:
    assert plain.read(body) == [1.0, 2.0, 3.0]


def test_a_binary_image_follows_the_json_that_tells_its_size() -> None:
    question = oip.ask(IMAGE_BINARY, SAMPLES)
    head = int(question.headers["Inference-Header-Content-Length"])
    tensor = msgspec.json.decode(question.body[:head])["inputs"][0]
    assert tensor["shape"] == IMAGE_SHAPE
    assert tensor["parameters"]["binary_data_size"] == len(question.body) - head == len(SAMPLES.pixels)


def test_an_image_is_nested_as_its_shape_says() -> None:
    values = SAMPLES.values(Case(IMAGE))
    assert [len(values), len(values[0]), len(values[0][0]), len(values[0][0][0])] == IMAGE_SHAPE


def test_everyone_has_a_name_of_its_own_and_is_asked_something() -> None:
    assert len({peer.who for peer in EVERYONE}) == len(EVERYONE)
    assert all(peer.cases and len(set(peer.cases)) == len(peer.cases) for peer in EVERYONE)


@pytest.mark.parametrize("peer", EVERYONE, ids=lambda peer: peer.who)
def test_everyone_is_started_on_the_port_it_is_given(peer: Peer, tmp_path: Path) -> None:
    job = Job(LR, tmp_path / "lr.joblib", tmp_path, tmp_path / "bin", 43210, (43211, 43212, 43213))
    launch = peer.launch(job)
    told = [*launch.argv, *launch.files.values(), *launch.environment.values()]
    assert any("43210" in text for text in told)
    for name, text in launch.files.items():
        if name.endswith(".py"):
            compile(text, name, "exec")


def results() -> Results:
    found = Results()
    busy = words.sample(ROW[LR], words.closed(16), words.CPU)
    found.add(busy, tiffin.NAME, 50e-6)
    found.add(busy, "mlserver, default", 3e-3)
    found.add(busy, "mlserver, tuned", 2e-3)
    found.add(busy, "uvicorn, tuned", 60e-6)
    found.add(words.LOST, tiffin.NAME, 2)
    return found


def test_a_promise_is_judged_by_the_best_peer_and_left_out_where_nothing_was_measured() -> None:
    text = promise_table(list(outcomes(PROMISES, results())))
    assert "| ≥ 20 times | 40 times | reached |" in text
    assert "| lost on SIGTERM | ≤ 0 | 2 | **not reached** |" in text
    assert "RandomForest" not in text


def test_floors_are_no_peers() -> None:
    assert sorted(others(results(), words.sample(ROW[LR], words.closed(16), words.CPU))) == [2e-3, 3e-3]


def test_a_cell_shows_the_median_and_the_range() -> None:
    found = Results()
    for value in (3.0, 1.0, 2.0):
        found.add("x", "a", value)
    assert cell(found, "x", "a", 1000) == "2,000 (1,000-3,000)"
    assert cell(found, "x", "b") == "-"
    assert [number(1.234), number(12.34), number(1234.5)] == ["1.23", "12.3", "1,234"]


def test_the_page_names_who_failed_and_leaves_out_who_was_not_asked() -> None:
    found = results()
    found.fail("kserve, default (image)", AssertionError("no such thing"))
    text = page(found, CIRCUMSTANCES, EVERYONE)
    assert "* **kserve, default (image)** was not measured: `no such thing`" in text
    assert "### no-op" not in text


def test_a_child_that_outlives_its_server_is_ended_too() -> None:
    script = "import subprocess, sys; subprocess.Popen(['sleep', '1000'], stdout=subprocess.DEVNULL); print('on')"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    process.communicate()
    assert of_session(process.pid)
    end(process)
    deadline = time.monotonic() + 10
    while of_session(process.pid):
        assert time.monotonic() < deadline


def test_a_turn_measures_a_server_from_its_start_to_its_end(tmp_path: Path) -> None:
    found = Results()
    length = Length(load=0.2, idle=0.1, connections=(2,), shares=())
    programs = Path(sys.executable).parent
    kitchen = Kitchen(tmp_path, tmp_path, SAMPLES, found, length, lambda _: programs)
    for peer in (tiffin.PEERS[0], bare.PEERS[0]):
        Turn(kitchen, peer, NOOP).play()
        assert found.median(words.sample(ROW[NOOP], words.closed(2), words.RATE), peer.who) > 0
        assert found.median(words.of_model(words.PSS, NOOP), peer.who) > 0
    assert not list(tmp_path.iterdir())
