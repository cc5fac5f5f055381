"""Programs that say who asks, as real programs."""

# ruff: noqa: S105, S106 - these tokens open nothing
from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tiffin.deploy.kubernetes.client.login import Identity
from tiffin.deploy.kubernetes.client.plugin import VERSIONS, Plugin, Program
from tiffin.errors import CommandError, ConfigError, NotFoundError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Script:
    """A plugin that counts how often it was run, keeps what it was told, and says what it is told to say."""

    def __init__(self, folder: Path, version: str = VERSIONS[0]) -> None:
        self.folder, self.version = folder, version
        self.path = folder / "plugin"
        self.path.write_text(
            f'#!/bin/sh\necho run >> {folder}/runs\nprintf %s "$KUBERNETES_EXEC_INFO" > {folder}/info\n'
            f'printf "%s " "$@" "$EXTRA" > {folder}/args\ncat > {folder}/stdin\n'
            f"cat {folder}/answer\ncat {folder}/words >&2\nexit $(cat {folder}/status)\n"
        )
        self.path.chmod(0o755)
        self.says(status={"token": "one"})

    def says(self, *, words: str = "", exit_status: int = 0, text: str | None = None, **said: Any) -> None:
        credential = {"kind": "ExecCredential", "apiVersion": self.version, **said}
        (self.folder / "answer").write_text(json.dumps(credential) if text is None else text)
        (self.folder / "words").write_text(words)
        (self.folder / "status").write_text(str(exit_status))

    def plugin(self, **fields: Any) -> Plugin:
        return Plugin(self.program(**fields), os.environ, lambda: NOW)

    def program(self, **fields: Any) -> Program:
        return Program(**{"where": "FILE: users[a].exec", "version": self.version, "command": str(self.path), **fields})

    @property
    def runs(self) -> int:
        return len((self.folder / "runs").read_text().splitlines())

    def told(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "info").read_text()))


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_program_says_is_kept(tmp_path: Path, version: str) -> None:
    script = Script(tmp_path, version)
    plugin = script.plugin()
    assert [plugin.identity(), plugin.identity()] == [Identity(token="one")] * 2
    assert script.runs == 1
    assert script.told() == {"kind": "ExecCredential", "apiVersion": version, "spec": {"interactive": False}}


def test_a_program_has_its_arguments_and_variables(script: Script) -> None:
    script.plugin(arguments=("get", "token"), env={"EXTRA": "more"}).identity()
    assert (script.folder / "args").read_text().split() == ["get", "token", "more"]


def test_a_program_is_told_of_the_cluster_where_it_asks(script: Script) -> None:
    script.plugin(cluster={"server": "https://one.invalid"}).identity()
    assert script.told()["spec"]["cluster"] == {"server": "https://one.invalid"}


def test_what_expires_is_asked_for_again_shortly_before(script: Script) -> None:
    script.says(status={"token": "one", "expirationTimestamp": (NOW + timedelta(seconds=5)).isoformat()})
    plugin = script.plugin()
    plugin.identity()
    script.says(status={"token": "two", "expirationTimestamp": (NOW + timedelta(hours=1)).isoformat()})
    assert plugin.identity().token == "two"
    assert plugin.identity().token == "two"
    assert script.runs == 2


def test_what_the_server_refused_is_asked_for_again(script: Script) -> None:
    plugin = script.plugin()
    refused = plugin.identity()
    script.says(status={"token": "two"})
    assert plugin.refresh(refused)
    assert plugin.identity().token == "two"


def test_what_somebody_else_has_asked_for_meanwhile_is_kept(script: Script) -> None:
    plugin = script.plugin()
    plugin.identity()
    plugin.refresh(Identity(token="older"))
    plugin.identity()
    assert script.runs == 1


def test_a_program_may_give_a_certificate(script: Script) -> None:
    script.says(status={"clientCertificateData": "CERT", "clientKeyData": "KEY"})
    assert script.plugin().identity() == Identity(certificate="CERT\nKEY")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"text": "not json"}, "does not answer with an ExecCredential"),
        ({"text": ""}, "does not answer with an ExecCredential"),
        ({"status": {"token": 7}}, "does not answer with an ExecCredential"),
        ({"apiVersion": "client.authentication.k8s.io/v1beta1", "status": {"token": "a"}}, "not of client"),
        ({"kind": "Pod"}, "answers with Pod"),
        ({}, "gives neither a token nor a certificate"),
        ({"status": {"clientCertificateData": "CERT"}}, "a certificate without its key"),
    ],
)
def test_an_answer_that_makes_no_sense_is_told(script: Script, said: dict[str, Any], message: str) -> None:
    script.says(**said)
    with pytest.raises(ConfigError, match=message) as refused:
        script.plugin().identity()
    assert "FILE: users[a].exec" in refused.value.message


def test_a_program_that_fails_is_told_with_its_words(script: Script) -> None:
    script.says(words="your session has ended\n", exit_status=3)
    with pytest.raises(CommandError, match="ended with status 3: your session has ended"):
        script.plugin().identity()


def test_a_program_that_there_is_not_is_told_with_its_install_hint(script: Script) -> None:
    with pytest.raises(NotFoundError, match="cannot run `/nowhere/plugin`: No such file") as refused:
        script.plugin(command="/nowhere/plugin", hint="brew install plugin").identity()
    assert refused.value.hint == "brew install plugin"


def test_a_program_that_may_not_be_run_is_told(script: Script) -> None:
    script.path.chmod(0o644)
    with pytest.raises(CommandError, match="Permission denied"):
        script.plugin().identity()


def test_a_program_that_must_ask_somebody_is_refused_where_nobody_is(script: Script) -> None:
    with pytest.raises(ConfigError, match="wants to ask somebody"):
        script.plugin(stdin="Always").identity()


@pytest.mark.parametrize(("stdin", "interactive"), [("Never", False), ("IfAvailable", True), ("Always", True)])
def test_a_program_hears_somebody_at_a_terminal_only_where_it_may(
    script: Script, stdin: str, *, interactive: bool
) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"yes\n\x04")
    code = (
        "import sys; from tiffin.deploy.kubernetes.client.plugin import *;"
        f"Plugin(Program(where='', version={VERSIONS[0]!r}, command={str(script.path)!r}, stdin={stdin!r})).identity()"
    )
    try:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", code], stdin=theirs, env=env, check=True, timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert script.told()["spec"]["interactive"] is interactive
    assert (script.folder / "stdin").read_text() == ("yes\n" if interactive else "")
