"""Programs that say who asks a cluster: credential plugins, as those of clouds are.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins. What they say is
kept in memory until it expires, or until the server does not take it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tiffin.deploy.kubernetes.client.login import Identity
from tiffin.errors import CommandError, ConfigError, NotFoundError

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_BEFORE = timedelta(seconds=10)
"""So long before it expires nothing is used any more: clocks differ, and requests take their time."""
_LAST_WORDS = 2000


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: `where` is its place in a kubeconfig; `cluster` is what it is told of the cluster, where it asks."""

    where: str
    version: str
    command: str
    arguments: tuple[str, ...] = ()
    env: dict[str, str] = {}
    stdin: str = "IfAvailable"
    hint: str = ""
    cluster: dict[str, Any] | None = None


class _Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _Credential(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    kind: str
    api_version: str
    status: _Status | None = None


class Plugin:
    """One who is known by running a program."""

    def __init__(
        self,
        program: Program,
        env: Mapping[str, str] = os.environ,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Run it in this environment, when somebody first asks."""
        self._program, self._env, self._clock = program, env, clock
        self._kept: tuple[Identity, datetime | None] | None = None
        self._running = threading.Lock()

    def identity(self) -> Identity:
        """Return what the program says, run again where that has expired.

        Raises NotFoundError where there is no such program, CommandError where it fails, ConfigError for its answer.
        """
        with self._running:
            if self._kept is None or (self._kept[1] is not None and self._clock() >= self._kept[1] - _BEFORE):
                self._kept = self._ask()
            return self._kept[0]

    def refresh(self, refused: Identity) -> bool:
        """Forget what it said; it may say something else."""
        with self._running:
            if self._kept is not None and self._kept[0] == refused:
                self._kept = None
            return True

    def _ask(self) -> tuple[Identity, datetime | None]:
        interactive = self._interactive()
        spec: dict[str, Any] = {"interactive": interactive}
        spec |= {"cluster": self._program.cluster} if self._program.cluster is not None else {}
        info = {"kind": "ExecCredential", "apiVersion": self._program.version, "spec": spec}
        env = {**self._env, **self._program.env, "KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode()}
        return self._understood(self._run(env, interactive=interactive))

    def _interactive(self) -> bool:
        """Whether it may ask whoever sits there."""
        terminal = sys.stdin is not None and sys.stdin.isatty()
        if self._program.stdin == "Always" and not terminal:
            hint = "log in where there is a terminal, or use a service account's token here"
            raise ConfigError(f"{self._program.where}: `{self._program.command}` wants to ask somebody", hint)
        return terminal and self._program.stdin != "Never"

    def _run(self, env: Mapping[str, str], *, interactive: bool) -> bytes:
        program = self._program
        try:
            done = subprocess.run(
                [program.command, *program.arguments],
                env=env,
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if interactive else subprocess.PIPE,
                check=False,
            )
        except OSError as error:
            hint = program.hint or "install it, or name another in the kubeconfig"
            kind = NotFoundError if isinstance(error, FileNotFoundError) else CommandError
            raise kind(f"{program.where}: cannot run `{program.command}`: {error.strerror}", hint) from error
        if done.returncode:
            words = (done.stderr or b"").decode(errors="replace").strip()[-_LAST_WORDS:]
            message = f"{program.where}: `{program.command}` ended with status {done.returncode}"
            raise CommandError(f"{message}: {words}" if words else message, program.hint or "log in with it anew")
        return done.stdout

    def _understood(self, output: bytes) -> tuple[Identity, datetime | None]:
        try:
            said = msgspec.json.decode(output, type=_Credential)
        except msgspec.DecodeError as error:
            raise self._wrong(f"does not answer with an ExecCredential: {error}") from error
        if said.kind != "ExecCredential" or said.api_version != self._program.version:
            raise self._wrong(f"answers with {said.kind} of {said.api_version}, not of {self._program.version}")
        status = said.status or _Status()
        if bool(status.client_certificate_data) != bool(status.client_key_data):
            raise self._wrong("gives a certificate without its key, or a key without its certificate")
        certificate = "\n".join(filter(None, (status.client_certificate_data, status.client_key_data)))
        if not (status.token or certificate):
            raise self._wrong("gives neither a token nor a certificate")
        return Identity(token=status.token, certificate=certificate), status.expiration_timestamp

    def _wrong(self, what: str) -> ConfigError:
        program = self._program
        return ConfigError(f"{program.where}: `{program.command}` {what}", program.hint or "bring it up to date")
