"""What is typed after `tiffin run` is read as docker's users expect, and refused with a hint."""

from __future__ import annotations

import pytest

from tiffin.api.options import parse_mount, parse_port, parse_variable
from tiffin.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", ("127.0.0.1", 8080, 8080)),
        ("0", ("127.0.0.1", 0, 8080)),
        ("9000:8082", ("127.0.0.1", 9000, 8082)),
        ("10.0.0.1:9000:8080", ("10.0.0.1", 9000, 8080)),
        ("10.0.0.1:9000", ("10.0.0.1", 9000, 8080)),
        ("[::1]:9000:8080", ("::1", 9000, 8080)),
    ],
)
def test_a_port_is_published_on_loopback_unless_an_address_is_given(text: str, expected: tuple[str, int, int]) -> None:
    port = parse_port(text)
    assert (port.host, port.host_port, port.container_port) == expected


@pytest.mark.parametrize("text", ["", "http", "70000", "1:2:3:4", "8080:http", "-1"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a port") as caught:
        parse_port(text)
    assert caught.value.hint


def test_a_mount_is_read_only_unless_said_otherwise() -> None:
    assert parse_mount("/data:/in").read_only
    assert parse_mount("/data:/in:ro").read_only
    assert not parse_mount("/data:/in:rw").read_only
    for text in ("/data", "/a:/b:/c", ":/b", "/a:"):
        with pytest.raises(ConfigError, match="not a mount"):
            parse_mount(text)


def test_a_variable_is_given_or_passed_on() -> None:
    assert parse_variable("A=1=2", {}) == ("A", "1=2")
    assert parse_variable("A", {"A": "here"}) == ("A", "here")
    with pytest.raises(ConfigError, match="no A in the environment"):
        parse_variable("A", {})
