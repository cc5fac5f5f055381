"""Pins become files whatever the network does, and never a file with other bytes."""

from __future__ import annotations

import email.utils
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tiffin import progress
from tiffin.errors import DeniedError, IntegrityError, NotFoundError, UnavailableError
from tiffin.network import Patience
from tiffin.oci.digest import Digest
from tiffin.packages.index import fetch_all
from tiffin.packages.pins import WheelPin
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.settings import IndexSettings
from tiffin.packages.pypi.uv_index import UvIndex
from wheelhouse import Fault, Index, served, wheel

DEMO = wheel("demo", padding=300_000)
OTHER = wheel("other")


@pytest.fixture
def index() -> Iterator[Index]:
    with served(DEMO, OTHER) as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def packages(index: Index, python: ImagePython, tmp_path: Path, pauses: list[float]) -> UvIndex:
    return UvIndex(python, tmp_path / "cache", IndexSettings(default_index=index.url), Patience(pause=pauses.append))


@pytest.fixture
def pin(packages: UvIndex, index: Index) -> WheelPin:
    """Return the pin of the demo; what uv asked for it is forgotten."""
    (resolved,) = packages.resolve(Requirements.of(["demo"]))
    index.asked.clear()
    return resolved


def leftovers(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "wheels").rglob(".*"))


def test_a_pin_says_everything_but_where(pin: WheelPin) -> None:
    assert pin == WheelPin(
        name="demo",
        version="1.0",
        filename=DEMO.name,
        sha256=Digest.of(DEMO.data),
        size=len(DEMO.data),
    )


def test_a_wheel_is_downloaded_once_and_then_at_hand(packages: UvIndex, pin: WheelPin, index: Index) -> None:
    path = packages.fetch(pin)
    assert path.name == DEMO.name
    assert path.read_bytes() == DEMO.data
    before = len(index.asked)
    assert packages.fetch(pin) == path
    assert len(index.asked) == before


def test_progress_tells_the_bytes(packages: UvIndex, pin: WheelPin) -> None:
    events: list[progress.Event] = []
    with progress.listening(events.append):
        packages.fetch(pin)
    (started,) = [event for event in events if isinstance(event, progress.Started)]
    assert (started.detail, started.total, started.unit) == (DEMO.name, len(DEMO.data), "bytes")
    assert sum(event.by for event in events if isinstance(event, progress.Advanced)) == len(DEMO.data)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_temporary_failure_is_tried_again_after_a_growing_pause(
    status: int, packages: UvIndex, pin: WheelPin, index: Index, pauses: list[float]
) -> None:
    index.faults[DEMO.name] = [Fault(status=status)] * 3
    assert packages.fetch(pin).read_bytes() == DEMO.data
    assert pauses == [0.5, 1.0, 2.0]


def test_the_server_says_how_long_to_wait(packages: UvIndex, pin: WheelPin, index: Index, pauses: list[float]) -> None:
    past = email.utils.formatdate(time.time() - 100, usegmt=True)
    index.faults[DEMO.name] = [Fault(status=503, retry_after=text) for text in ("7", "86400", past)]
    packages.fetch(pin)
    assert pauses == [7.0, 60.0, 0.0]


@pytest.mark.parametrize("length", [0, 1, 100_000, len(DEMO.data) - 1])
def test_a_connection_cut_short_is_tried_again(
    length: int, packages: UvIndex, pin: WheelPin, index: Index, tmp_path: Path
) -> None:
    index.faults[DEMO.name] = [Fault(truncate=length)]
    assert packages.fetch(pin).read_bytes() == DEMO.data
    assert leftovers(tmp_path) == []


def test_a_failure_that_stays_is_reported_as_temporary(
    packages: UvIndex, pin: WheelPin, index: Index, tmp_path: Path
) -> None:
    index.faults[DEMO.name] = [Fault(status=503)] * 9
    with pytest.raises(UnavailableError, match=f"{DEMO.name}: 503"):
        packages.fetch(pin)
    assert index.downloads(DEMO.name) == 4
    assert leftovers(tmp_path) == []


def test_a_redirect_is_followed(packages: UvIndex, pin: WheelPin, index: Index) -> None:
    index.faults[DEMO.name] = [Fault(status=302, location=f"/files/{DEMO.name}?again")]
    index.files[f"{DEMO.name}?again"] = DEMO
    assert packages.fetch(pin).read_bytes() == DEMO.data


def test_a_redirect_without_an_end_is_given_up(packages: UvIndex, pin: WheelPin, index: Index) -> None:
    index.faults[DEMO.name] = [Fault(status=302, location=f"/files/{DEMO.name}")] * 100
    with pytest.raises(UnavailableError):
        packages.fetch(pin)


def test_changed_bytes_are_refused_and_leave_nothing(
    packages: UvIndex, pin: WheelPin, index: Index, tmp_path: Path
) -> None:
    index.replace(DEMO.name, DEMO.data[:-1] + b"!")
    with pytest.raises(IntegrityError, match="not the file that was pinned"):
        packages.fetch(pin)
    assert not [path for path in (tmp_path / "cache" / "wheels").rglob("*") if path.is_file()]


def test_more_bytes_than_pinned_are_refused_early(packages: UvIndex, pin: WheelPin, index: Index) -> None:
    index.replace(DEMO.name, DEMO.data + bytes(5_000_000))
    with pytest.raises(IntegrityError, match="more than"):
        packages.fetch(pin)


def test_an_address_that_went_stale_is_looked_up_again(packages: UvIndex, pin: WheelPin, index: Index) -> None:
    index.prefix = "moved"
    assert packages.fetch(pin).read_bytes() == DEMO.data
    assert f"GET /moved/{DEMO.name}" in index.asked


def test_a_lock_from_another_machine_needs_one_question(
    index: Index, packages: UvIndex, python: ImagePython, tmp_path: Path
) -> None:
    pins = packages.resolve(Requirements.of(["demo", "other"]))
    fresh = UvIndex(python, tmp_path / "elsewhere", IndexSettings(default_index=index.url))
    events: list[progress.Event] = []
    with progress.listening(events.append):
        paths = fetch_all(fresh, pins)
    assert [path.read_bytes() for path in paths] == [DEMO.data, OTHER.data]
    names = [event.name for event in events if isinstance(event, progress.Started)]
    assert sorted(names) == ["download", "download", "locate"]


def test_a_file_replaced_on_the_index_is_told_apart_from_a_lost_one(
    packages: UvIndex, pin: WheelPin, index: Index
) -> None:
    index.add(wheel("demo", padding=200_000))
    with pytest.raises(IntegrityError, match="changed on the index"):
        packages.fetch(pin)


def test_a_file_that_is_gone_is_named(packages: UvIndex, pin: WheelPin, index: Index) -> None:
    del index.files[DEMO.name]
    index.add(wheel("demo", tag="cp311-cp311-manylinux_2_17_x86_64"))
    with pytest.raises(NotFoundError, match=f"{DEMO.name} is not on the index any more"):
        packages.fetch(pin)


def test_a_version_that_is_gone_is_named(packages: UvIndex, pin: WheelPin, index: Index) -> None:
    del index.files[DEMO.name]
    index.add(wheel("demo", "2.0"))
    with pytest.raises(NotFoundError, match=r"demo==1\.0"):
        packages.fetch(pin)


def test_a_server_that_refuses_us_is_not_asked_over_and_over(packages: UvIndex, pin: WheelPin, index: Index) -> None:
    index.faults[DEMO.name] = [Fault(status=403)] * 9
    with pytest.raises(DeniedError, match="403"):
        packages.fetch(pin)
    assert index.downloads(DEMO.name) == 2


def test_a_cached_wheel_cut_short_is_fetched_again(packages: UvIndex, pin: WheelPin) -> None:
    path = packages.fetch(pin)
    path.write_bytes(DEMO.data[:100])
    assert packages.fetch(pin).read_bytes() == DEMO.data


def test_nothing_is_asked_of_the_network_when_all_is_cached(
    packages: UvIndex, pin: WheelPin, python: ImagePython, tmp_path: Path
) -> None:
    packages.fetch(pin)
    shutil.rmtree(tmp_path / "cache" / "urls")
    offline = UvIndex(python, tmp_path / "cache", IndexSettings(default_index="http://127.0.0.1:1/simple"))
    assert fetch_all(offline, [pin])[0].read_bytes() == DEMO.data


def test_credentials_of_the_index_go_to_its_host_and_into_no_file(
    index: Index, python: ImagePython, tmp_path: Path
) -> None:
    index.login = "user:s3cret"
    settings = IndexSettings(default_index=index.url.replace("://", "://user:s3cret@"))
    packages = UvIndex(python, tmp_path / "cache", settings)
    pins = packages.resolve(Requirements.of(["demo"]))
    assert fetch_all(packages, pins)[0].read_bytes() == DEMO.data
    assert not any("s3cret" in path.read_text() for path in (tmp_path / "cache" / "urls").iterdir())


def test_a_folder_of_links_beside_the_index_is_used(index: Index, python: ImagePython, tmp_path: Path) -> None:
    (tmp_path / "own wheels").mkdir()
    wheel("own").into(tmp_path / "own wheels")
    settings = IndexSettings(default_index=index.url, find_links=(str(tmp_path / "own wheels"),))
    packages = UvIndex(python, tmp_path / "cache", settings)
    pins = packages.resolve(Requirements.of(["own", "other"]))
    assert [path.name for path in fetch_all(packages, pins)] == [OTHER.name, "own-1.0-py3-none-any.whl"]


def test_an_unknown_size_is_learned_from_the_file_itself(packages: UvIndex, index: Index) -> None:
    index.heads = False
    (pin,) = packages.resolve(Requirements.of(["other"]))
    assert pin.size == len(OTHER.data)


def test_a_pin_with_another_size_is_not_this_file(packages: UvIndex, pin: WheelPin) -> None:
    with pytest.raises(IntegrityError):
        packages.fetch(msgspec.structs.replace(pin, size=pin.size - 1))


def test_the_real_index_resolves_and_its_wheel_arrives(
    python: ImagePython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # this one test uses the caller's own proxies and indexes
    packages = UvIndex(python, tmp_path / "cache")
    try:
        (pin,) = packages.resolve(Requirements.of(["joblib==1.5.2"]))
        path = packages.fetch(pin)
    except UnavailableError:
        pytest.skip("needs a network to the package index")
    assert path.name == "joblib-1.5.2-py3-none-any.whl"
    assert Digest.of(path.read_bytes()) == pin.sha256
