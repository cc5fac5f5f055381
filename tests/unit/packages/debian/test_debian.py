from __future__ import annotations

import lzma
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tiffin.errors import IntegrityError, NotFoundError, TiffinError, UnavailableError, UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.packages.debian.debian import Debian
from tiffin.packages.debian.pins import BasePins, Wanted
from tiffin.packages.debian.selection import selection
from tiffin.packages.debian.sources import Mirrors
from tiffin.progress import Event, Noted, listening
from unit.packages.debian.makers import Mirror, Signer, make_deb, member, release, serving, stanza, write_suite

SIGNER = Signer()
WANTED = Wanted(suite="bookworm", python="3.11")
NOW = datetime.now(UTC)


def add(root: Path, name: str, version: str = "1.0", *, prefix: str = "pool/main", **fields: str) -> str:
    """Put a package into a mirror's pool and return its paragraph."""
    deb = make_deb([member(f"./usr/share/{name}", name.encode())], name=name, version=version)
    path = f"{prefix}/{name[0]}/{name}/{name}_{version}_amd64.deb"
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(deb)
    return stanza(name, version, Filename=path, Size=str(len(deb)), SHA256=Digest.of(deb).hex, **fields)


def sign(root: Path, suite: str, stanzas: list[str], *, extra: str = "") -> None:
    packages = lzma.compress("\n".join(stanzas).encode())
    text = release(suite, packages, date=format_datetime(NOW), extra=extra)
    write_suite(root, suite, SIGNER.sign(text), packages)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A whole small archive: main, updates and security."""
    root = tmp_path / "debian"
    names = [*selection().base_roots(), *selection().interpreter_roots("3.11")]
    depends = {"python3.11": "libssl3, media-types", "libssl3": "libc6"}
    sign(
        root,
        "bookworm",
        [add(root, name, Depends=depends.get(name, "")) for name in [*names, "libssl3", "bash"]],
    )
    sign(root, "bookworm-updates", [add(root, "tzdata", "2.0")])
    security = tmp_path / "debian-security"
    sign(security, "bookworm-security", [add(security, "libssl3", "1.0+deb12u1", prefix="pool/updates/main")])
    return root


@pytest.fixture
def mirror(archive: Path, tmp_path: Path) -> Iterator[Mirror]:
    assert archive.is_dir()
    with serving(tmp_path) as found:
        yield found


def debian(tmp_path: Path, url: str, *, dates: bool = True) -> Debian:
    mirrors = Mirrors(main=(f"{url}/debian",), security=(f"{url}/debian-security",), dates=dates)
    return Debian(tmp_path / "cache", lambda: mirrors, SIGNER.keys)


def versions(pins: BasePins) -> dict[str, str]:
    return {pin.name: pin.version for pin in (*pins.base, *pins.interpreter, *pins.packages)}


def test_what_is_wanted_is_resolved_over_all_three_suites(tmp_path: Path, mirror: Mirror) -> None:
    pins = debian(tmp_path, mirror.url).resolve(WANTED)
    assert {pin.name for pin in pins.base} == set(selection().base_roots())
    assert [pin.name for pin in pins.interpreter] == ["libssl3", "python3.11"]
    assert versions(pins)["tzdata"] == "2.0"
    assert versions(pins)["libssl3"] == "1.0+deb12u1"


def test_a_projects_packages_leave_base_and_interpreter_as_they_are(tmp_path: Path, mirror: Mirror) -> None:
    plain = debian(tmp_path, mirror.url).resolve(WANTED)
    more = debian(tmp_path, mirror.url).resolve(Wanted(suite="bookworm", python="3.11", packages=("bash", "libssl3")))
    assert (more.base, more.interpreter) == (plain.base, plain.interpreter)
    assert [pin.name for pin in more.packages] == ["bash"]


def test_pins_name_no_mirror(tmp_path: Path, mirror: Mirror) -> None:
    assert "127.0.0.1" not in str(debian(tmp_path, mirror.url).resolve(WANTED))


def test_files_are_fetched_once_and_from_the_right_archive(tmp_path: Path, mirror: Mirror) -> None:
    source = debian(tmp_path, mirror.url)
    pins = source.resolve(WANTED)
    paths = source.fetch_all(pins.interpreter)
    assert [path.name for path in paths] == ["libssl3_1.0+deb12u1_amd64.deb", "python3.11_1.0_amd64.deb"]
    assert any(asked.startswith("/debian-security/pool/updates/") for asked in mirror.asked)
    before = len(mirror.asked)
    assert source.fetch_all(pins.interpreter) == paths
    assert len(mirror.asked) == before


def test_files_that_are_kept_need_no_mirror(tmp_path: Path, mirror: Mirror) -> None:
    source = debian(tmp_path, mirror.url)
    (pin, *_) = source.resolve(WANTED).interpreter
    path = source.fetch(pin)

    def nowhere() -> Mirrors:
        raise AssertionError

    assert Debian(tmp_path / "cache", nowhere).fetch(pin) == path


def test_a_kept_file_that_was_damaged_is_fetched_again(tmp_path: Path, mirror: Mirror) -> None:
    source = debian(tmp_path, mirror.url)
    (pin, *_) = source.resolve(WANTED).interpreter
    whole = source.fetch(pin).read_bytes()
    source.fetch(pin).write_bytes(whole[:-1] + b"?")
    assert source.fetch(pin).read_bytes() == whole


def test_the_index_is_fetched_once(tmp_path: Path, mirror: Mirror) -> None:
    debian(tmp_path, mirror.url).resolve(WANTED)
    mirror.asked.clear()
    debian(tmp_path, mirror.url).resolve(WANTED)
    assert [asked.rpartition("/")[2] for asked in mirror.asked] == ["InRelease"] * 3


def test_a_kept_index_that_was_damaged_is_fetched_again(tmp_path: Path, mirror: Mirror) -> None:
    pins = debian(tmp_path, mirror.url).resolve(WANTED)
    for path in (tmp_path / "cache" / "index").iterdir():
        path.write_bytes(b"\0" * 100)
    assert debian(tmp_path, mirror.url).resolve(WANTED) == pins


def test_without_a_network_the_index_seen_last_is_used_with_a_note(tmp_path: Path, archive: Path) -> None:
    assert archive.is_dir()
    with serving(tmp_path) as mirror:
        pins = debian(tmp_path, mirror.url).resolve(WANTED)
    events: list[Event] = []
    with listening(events.append):
        assert debian(tmp_path, "http://127.0.0.1:9").resolve(WANTED) == pins
    assert any("seen last" in event.message for event in events if isinstance(event, Noted))


def test_without_a_network_and_an_index_nothing_can_be_resolved(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="InRelease could not be read"):
        debian(tmp_path, "http://127.0.0.1:9").resolve(WANTED)


def test_an_index_other_than_the_signed_one_is_refused(tmp_path: Path, mirror: Mirror, archive: Path) -> None:
    evil = lzma.compress(b"Package: evil\n")
    for path in (archive / "dists" / "bookworm").rglob("*"):
        if path.is_file() and path.name != "InRelease":
            path.write_bytes(evil)
    with pytest.raises(IntegrityError, match=r"dists/bookworm/main/binary-amd64/by-hash/.* should have"):
        debian(tmp_path, mirror.url).resolve(WANTED)


def test_a_release_that_was_altered_is_refused(tmp_path: Path, mirror: Mirror, archive: Path) -> None:
    path = archive / "dists" / "bookworm" / "InRelease"
    path.write_bytes(path.read_bytes().replace(b"Origin: Debian", b"Origin: Nobody"))
    with pytest.raises(IntegrityError, match=rf"{mirror.url}/debian/dists/bookworm/InRelease is not signed by Debian"):
        debian(tmp_path, mirror.url).resolve(WANTED)


def test_a_release_that_is_past_its_date_is_refused_unless_apt_does_not_mind(tmp_path: Path, mirror: Mirror) -> None:
    security = tmp_path / "debian-security"
    past = format_datetime(NOW - timedelta(days=3))
    sign(security, "bookworm-security", [stanza("x")], extra=f"Valid-Until: {past}\n")
    with pytest.raises(IntegrityError, match="was good until"):
        debian(tmp_path, mirror.url).resolve(WANTED)
    assert debian(tmp_path, mirror.url, dates=False).resolve(WANTED)


def test_another_suites_release_is_refused(tmp_path: Path, mirror: Mirror, archive: Path) -> None:
    sign(archive, "trixie", [stanza("x")])
    (archive / "dists" / "trixie").rename(archive / "dists" / "other")
    (archive / "dists" / "bookworm").rename(archive / "dists" / "older")
    (archive / "dists" / "other").rename(archive / "dists" / "bookworm")
    with pytest.raises(IntegrityError, match="is the index of 'trixie'"):
        debian(tmp_path, mirror.url).resolve(WANTED)


def test_a_place_that_is_no_mirror_says_so(tmp_path: Path) -> None:
    with serving(tmp_path) as mirror, pytest.raises(NotFoundError, match="is no mirror of") as caught:
        debian(tmp_path, mirror.url).resolve(WANTED)
    assert "[image] mirror" in str(caught.value.hint)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(suite="buster", python="3.7"),
        Wanted(suite="bookworm", python="3.12"),
        Wanted(suite="bookworm", python="3.11", architecture="s390x"),
    ],
)
def test_what_is_not_had_is_refused_with_what_there_is(tmp_path: Path, wanted: Wanted) -> None:
    with pytest.raises(UnsupportedError) as caught:
        debian(tmp_path, "http://127.0.0.1:9").resolve(wanted)
    assert "there are" in str(caught.value.hint)


def test_an_unknown_package_is_named(tmp_path: Path, mirror: Mirror) -> None:
    wanted = Wanted(suite="bookworm", python="3.11", packages=("bsh",))
    with pytest.raises(TiffinError, match="debian:bookworm has no package bsh") as caught:
        debian(tmp_path, mirror.url).resolve(wanted)
    assert "bash" in str(caught.value.hint)


def test_every_choice_of_packages_has_a_reason() -> None:
    chosen = selection()
    assert all(rule.reason for rule in (*chosen.base, *chosen.interpreter, *chosen.not_followed))
    assert not chosen.follows("ca-certificates", "openssl")
    assert chosen.follows("python3.11-minimal", "libexpat1")
