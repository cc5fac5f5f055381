from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import tiffin.packages.debian.release as module
from tiffin.errors import IntegrityError
from tiffin.packages.debian.release import Release, check_release, debian_keys, parse_release, read_release
from unit.packages.debian.makers import Signer, release

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TEXT = release("bookworm", b"packages", date="Sat, 11 Jul 2026 10:16:37 UTC")
SIGNER = Signer()


def test_what_debian_signed_is_read() -> None:
    found = read_release(SIGNER.sign(TEXT), SIGNER.keys(), "InRelease")
    assert found.codename == "bookworm"
    assert found.date == datetime(2026, 7, 11, 10, 16, 37, tzinfo=UTC)
    assert found.valid_until is None
    assert found.by_hash
    assert found.files["main/binary-amd64/Packages.xz"].size == len(b"packages")


def test_another_key_is_not_trusted() -> None:
    with pytest.raises(IntegrityError, match=r"http://a.example/InRelease is not signed by Debian"):
        read_release(SIGNER.sign(TEXT), Signer().keys(), "http://a.example/InRelease")


def test_debians_keys_do_not_trust_a_stranger() -> None:
    with pytest.raises(IntegrityError):
        read_release(SIGNER.sign(TEXT), debian_keys(), "InRelease")


@pytest.mark.parametrize("text", [b"", b"\0" * 100, TEXT.encode(), b"-----BEGIN PGP SIGNED MESSAGE-----\n"])
def test_what_has_no_signature_is_refused(text: bytes) -> None:
    with pytest.raises(IntegrityError, match="not signed"):
        read_release(text, SIGNER.keys(), "InRelease")


def test_a_truncated_release_is_refused_wherever_it_ends() -> None:
    signed = SIGNER.sign(TEXT)
    end = signed.rindex(b"=") + 5  # the checksum of the armour is the last thing that says anything
    for length in range(0, end - 8, 5):
        with pytest.raises(IntegrityError):
            read_release(signed[:length], SIGNER.keys(), "InRelease")


def test_a_tampered_release_is_refused_or_says_the_same() -> None:
    signed = SIGNER.sign(TEXT)
    original = parse_release(TEXT, "x")
    refused = 0
    for position in range(len(signed)):
        changed = signed[:position] + bytes([signed[position] ^ 0x01]) + signed[position + 1 :]
        try:
            assert read_release(changed, SIGNER.keys(), "InRelease") == original
        except IntegrityError:
            refused += 1
    assert refused > len(TEXT)


def test_what_the_signature_does_not_cover_is_not_read() -> None:
    evil = TEXT.replace("bookworm", "evil").encode()
    signed = SIGNER.sign(TEXT)
    for text in (evil + b"\n" + signed, signed + b"\n" + evil):
        assert read_release(text, SIGNER.keys(), "InRelease").codename == "bookworm"


@pytest.mark.parametrize("field", ["Codename", "Date", "SHA256"])
def test_a_release_without_a_needed_field_is_refused(field: str) -> None:
    with pytest.raises(IntegrityError, match=field):
        parse_release(TEXT.replace(field, "X-Other"), "InRelease")


def test_a_date_that_is_none_is_refused() -> None:
    with pytest.raises(IntegrityError):
        parse_release(TEXT.replace("Sat, 11 Jul", "some day"), "InRelease")


def at(valid_until: datetime | None = None, date: datetime = NOW) -> Release:
    return Release(codename="bookworm", date=date, valid_until=valid_until, by_hash=True, files={})


def test_a_release_of_another_suite_is_refused() -> None:
    with pytest.raises(IntegrityError, match="is the index of 'bookworm', not of 'trixie'"):
        check_release(at(), "trixie", NOW, "InRelease")


def test_an_old_release_is_good_until_its_date_and_a_day() -> None:
    check_release(at(), "bookworm", NOW + timedelta(days=1000), "InRelease")
    check_release(at(NOW), "bookworm", NOW + timedelta(hours=23), "InRelease")
    with pytest.raises(IntegrityError, match="was good until 2026-11-21"):
        check_release(at(NOW), "bookworm", NOW + timedelta(hours=25), "InRelease")
    check_release(at(NOW), "bookworm", NOW + timedelta(days=100), "InRelease", dates=False)


def test_a_release_of_tomorrow_is_refused() -> None:
    with pytest.raises(IntegrityError, match="to come"):
        check_release(at(date=NOW + timedelta(days=2)), "bookworm", NOW, "InRelease")


def test_every_key_that_is_shipped_is_written_down() -> None:
    table = Path(module.__file__).with_name("keys").joinpath("README.md").read_text()
    keys = debian_keys()
    assert len(keys) == 6
    for key in keys:
        assert key.fingerprint.upper() in table
        assert f"{key.expiration:%Y-%m-%d}" in table
        assert not key.is_revoked
