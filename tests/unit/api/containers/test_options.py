"""What is typed after `tiffin run` is read as docker's users expect, and refused with a hint."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.api.containers.options import (
    files_of_variables,
    options,
    parse_amount,
    parse_label,
    parse_mount,
    parse_port,
    parse_restart,
    parse_secret,
    parse_variable,
)
from tiffin.engine.spec import Restart, RestartPolicy
from tiffin.errors import ConfigError, NotFoundError


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("0", 0),
        ("512", 512),
        ("512b", 512),
        ("1k", 1024),
        ("512m", 512 << 20),
        ("1.5g", 3 << 29),
        ("1Gi", 1 << 30),
        ("2GiB", 2 << 30),
        ("1MB", 1 << 20),
        ("1t", 1 << 40),
    ],
)
def test_an_amount_of_memory_is_read_as_docker_reads_it(text: str, expected: int) -> None:
    assert parse_amount(text) == expected


@pytest.mark.parametrize("text", ["much", "-1m", "1x", "1 g", "m", "1.g", "1e3", "1bb", "1ib"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not an amount of memory") as caught:
        parse_amount(text)
    assert "512m" in str(caught.value.hint)


@given(st.integers(0, 1 << 30), st.sampled_from("kmgt"))
def test_a_unit_is_the_power_of_1024_that_it_names(number: int, unit: str) -> None:
    assert parse_amount(f"{number}{unit}") == number * 1024 ** (1 + "kmgt".index(unit))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", Restart()),
        ("always", Restart(policy=RestartPolicy.ALWAYS)),
        ("unless-stopped", Restart(policy=RestartPolicy.UNLESS_STOPPED)),
        ("on-failure", Restart(policy=RestartPolicy.ON_FAILURE)),
        ("on-failure:5", Restart(policy=RestartPolicy.ON_FAILURE, tries=5)),
    ],
)
def test_a_restart_policy_is_read_with_its_bound(text: str, expected: Restart) -> None:
    assert parse_restart(text) == expected


@pytest.mark.parametrize("text", ["", "sometimes", "always:3", "on-failure:", "on-failure:x", "on-failure:-1", "no:"])
def test_what_is_no_restart_policy_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a restart policy") as caught:
        parse_restart(text)
    assert "on-failure:5" in str(caught.value.hint)


def test_a_secret_names_a_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token.txt").write_text("hunter2")
    monkeypatch.chdir(tmp_path)
    secret = parse_secret("token=token.txt")
    assert (secret.name, secret.source) == ("token", str(tmp_path / "token.txt"))
    with pytest.raises(NotFoundError, match=r"no file absent for the secret token"):
        parse_secret("token=absent")


@pytest.mark.parametrize("text", ["", "token", "=file", "token=", "../token=file", "a/b=file", ".hidden=file"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a secret"):
        parse_secret(text)


def test_a_label_has_a_name_and_perhaps_a_value() -> None:
    assert parse_label("team=search=x") == ("team", "search=x")
    assert parse_label("team") == ("team", "")
    with pytest.raises(ConfigError, match="not a label"):
        parse_label("=search")


def test_files_of_variables_are_read_as_docker_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "yes")
    monkeypatch.delenv("NOT_HERE", raising=False)
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text('# a comment\n\nA=1 # kept\n  B="q"\nEMPTY=\nHERE\nNOT_HERE\nC=a=b\n')
    second.write_text("A=2\n")
    assert files_of_variables([str(first), str(second)]) == {
        "A": "2",
        "B": '"q"',
        "EMPTY": "",
        "HERE": "yes",
        "C": "a=b",
    }
    assert options("iris", env_file=[str(first)], env=["A=3"]).run.env["A"] == "3"


def test_a_file_of_variables_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("A=1\nB =2\n")
    with pytest.raises(ConfigError, match=r"not a variable: 'B =2' in .*env, line 2"):
        files_of_variables([str(file)])
    with pytest.raises(NotFoundError, match="no environment file"):
        files_of_variables([str(tmp_path / "absent")])
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        files_of_variables([str(file)])
