"""Reaching clusters by kubeconfigs: certificates, tokens, programs and proxies, over real connections."""

# ruff: noqa: S106 - these tokens open nothing
from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver.authority import Authority
from apiserver.server import ApiServer, Fault
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kubeconfig import connect
from tiffin.deploy.kubernetes.execute import Pod, run
from tiffin.engine.spec import Streams
from tiffin.errors import CommandError, ConfigError, DeniedError, NotFoundError, TiffinError
from tiffin.network import BusyError

AUTHORITY, STRANGER = Authority(), Authority()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def secure(server: ApiServer, tmp_path: Path) -> ApiServer:
    """The server behind TLS, which lets in who is known."""
    server.stop()
    server.tls = AUTHORITY.server(tmp_path)
    server.tokens = {"right": "dana"}
    server.start()
    return server


class Home:
    """A folder with a kubeconfig and what it names."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.cluster: dict[str, Any] = {"server": url, "certificate-authority": "ca.pem"}
        self.user: dict[str, Any] = {"token": "right"}
        (folder / "ca.pem").write_text(AUTHORITY.pem)

    def connect(self) -> Api:
        listed = {
            "clusters": [{"name": "c", "cluster": self.cluster}],
            "users": [{"name": "u", "user": self.user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
        path = self.folder / "config"
        path.write_text(yaml.safe_dump({"current-context": "x", **listed}))
        return connect(path=str(path), env={"PATH": "/usr/bin:/bin"})[0]


@pytest.fixture
def home(tmp_path: Path, secure: ApiServer) -> Home:
    return Home(tmp_path, secure.url)


def test_a_token_is_shown_to_a_server_that_is_trusted(home: Home, secure: ApiServer) -> None:
    assert home.connect().version() == (1, 36)
    assert secure.asked[-1].user == "dana"


def test_a_client_certificate_says_who_asks(home: Home, secure: ApiServer) -> None:
    certificate, key = AUTHORITY.issue("oscar")
    (home.folder / "me.pem").write_text(certificate)
    (home.folder / "me.key").write_text(key)
    home.user = {"client-certificate": "me.pem", "client-key": "me.key"}
    assert home.connect().version() == (1, 36)
    assert secure.asked[-1].user == "oscar"


def test_a_certificate_with_the_key_of_another_is_refused(home: Home) -> None:
    (home.folder / "me.pem").write_text(AUTHORITY.issue("oscar")[0])
    (home.folder / "me.key").write_text(AUTHORITY.issue("oscar")[1])
    home.user = {"client-certificate": "me.pem", "client-key": "me.key"}
    with pytest.raises(ConfigError, match="cannot use the client certificate"):
        home.connect().version()


def test_a_server_with_the_certificate_of_a_stranger_is_not_talked_to(home: Home, secure: ApiServer) -> None:
    (home.folder / "ca.pem").write_text(STRANGER.pem)
    with pytest.raises(DeniedError, match="its certificate is not trusted") as refused:
        home.connect().version()
    assert "certificate-authority" in (refused.value.hint or "")
    assert secure.asked == []


def test_the_systems_authorities_are_not_trusted_beside_the_clusters(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(home.folder / "ca.pem"))
    (home.folder / "other.pem").write_text(STRANGER.pem)
    home.cluster["certificate-authority"] = "other.pem"
    with pytest.raises(DeniedError):
        home.connect().version()
    del home.cluster["certificate-authority"]
    assert home.connect().version() == (1, 36)


def test_anybodys_certificate_will_do_where_that_is_said(home: Home) -> None:
    del home.cluster["certificate-authority"]
    with pytest.raises(DeniedError):
        home.connect().version()
    home.cluster["insecure-skip-tls-verify"] = True
    assert home.connect().version() == (1, 36)


def test_a_server_may_have_a_certificate_of_another_name(home: Home, secure: ApiServer, tmp_path: Path) -> None:
    secure.stop()
    secure.tls = AUTHORITY.server(tmp_path, "kubernetes.internal")
    secure.start()
    with pytest.raises(DeniedError, match="IP address mismatch"):
        home.connect().version()
    home.cluster["tls-server-name"] = "kubernetes.internal"
    assert home.connect().version() == (1, 36)


def test_an_authority_that_leaves_out_what_new_pythons_insist_on_is_trusted(
    home: Home, secure: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_of_313(**trusted: Any) -> ssl.SSLContext:
        made = default(**trusted)
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    default = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", as_of_313)
    sparing = Authority(sparing=True)
    secure.stop()
    secure.tls = sparing.server(tmp_path)
    secure.start()
    (home.folder / "ca.pem").write_text(sparing.pem)
    assert home.connect().version() == (1, 36)


def test_a_certificate_that_has_expired_is_not_trusted(home: Home, secure: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "old.pem"
    file.write_text("".join(AUTHORITY.issue("127.0.0.1", valid_for=timedelta(days=-1))))
    assert secure.tls
    secure.tls.load_cert_chain(file)
    with pytest.raises(DeniedError, match="certificate has expired"):
        home.connect().version()


def test_who_is_not_known_is_told_to_log_in(home: Home) -> None:
    home.user = {"token": "wrong"}
    with pytest.raises(DeniedError, match="401") as refused:
        home.connect().version()
    assert "log in" in (refused.value.hint or "")


def test_a_token_that_was_replaced_is_read_again_when_it_is_refused(home: Home) -> None:
    token = home.folder / "token"
    token.write_text("old")
    home.user = {"tokenFile": "token"}
    api = home.connect()
    with pytest.raises(DeniedError):
        api.version()
    token.write_text("right\n")
    assert api.version() == (1, 36)


def plugin(home: Home, *lines: str) -> None:
    (home.folder / "plugin").write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    (home.folder / "plugin").chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    home.user = {"exec": {"apiVersion": version, "command": "./plugin", "interactiveMode": "Never"}}


def credential(**status: str) -> str:
    said = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": status}
    return f"cat <<'END'\n{json.dumps(said)}\nEND"


def test_a_program_beside_the_kubeconfig_gives_the_token(home: Home, secure: ApiServer) -> None:
    plugin(home, credential(token="right"))
    api = home.connect()
    assert (api.version(), api.version()) == ((1, 36), (1, 36))
    assert secure.asked[-1].user == "dana"


def test_a_refused_credential_is_asked_for_once_more(home: Home, secure: ApiServer) -> None:
    runs = home.folder / "runs"
    plugin(home, f"echo run >> {runs}", credential(token="right"))
    api = home.connect()
    api.version()
    secure.faults["version"] = [Fault(status=401)]
    assert api.version() == (1, 36)
    assert len(runs.read_text().splitlines()) == 2
    secure.faults["version"] = [Fault(status=401)] * 2
    with pytest.raises(DeniedError):
        api.version()
    assert len(runs.read_text().splitlines()) == 3


def test_a_credential_that_has_expired_is_asked_for_again(home: Home) -> None:
    runs = home.folder / "runs"
    plugin(home, f"echo run >> {runs}", credential(token="right", expirationTimestamp="2020-01-01T00:00:00Z"))
    api = home.connect()
    api.version()
    api.version()
    assert len(runs.read_text().splitlines()) == 2


def test_a_program_may_give_a_client_certificate_and_then_another(home: Home, secure: ApiServer) -> None:
    for name in ("first", "second"):
        certificate, key = AUTHORITY.issue(name)
        said = credential(clientCertificateData=certificate, clientKeyData=key)
        (home.folder / name).write_text(said.split("\n")[1])
    plugin(home, f"cat {home.folder}/first; mv {home.folder}/second {home.folder}/first || true")
    api = home.connect()
    api.version()
    assert secure.asked[-1].user == "first"
    secure.faults["version"] = [Fault(status=401)]
    api.version()
    assert secure.asked[-1].user == "second"


def test_a_program_that_fails_is_told_with_its_place_in_the_kubeconfig(home: Home) -> None:
    plugin(home, "echo please log in >&2", "exit 7")
    with pytest.raises(CommandError, match=r"users\[u\].exec: .* ended with status 7: please log in"):
        home.connect().version()


def test_a_user_may_act_for_another(home: Home, secure: ApiServer) -> None:
    home.user["as"] = "oscar"
    home.connect().version()
    assert secure.asked[-1].headers["Impersonate-User"] == "oscar"


def test_a_pod_talks_to_its_own_cluster(secure: ApiServer, tmp_path: Path) -> None:
    for name, content in (("ca.crt", AUTHORITY.pem), ("namespace", "team"), ("token", "right")):
        (tmp_path / name).write_text(content)
    env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(secure.port)}
    api, namespace = connect(env=env, mounted=tmp_path)
    assert (api.version(), namespace, secure.asked[-1].user) == ((1, 36), "team", "dana")
    named = {**env, "TIFFIN_CONTEXT": "production"}
    assert connect(context="production", env=named, mounted=tmp_path)[0].version() == (1, 36)
    with pytest.raises(NotFoundError):
        connect(context="another", env=named, mounted=tmp_path)


def test_a_cluster_behind_a_proxy_is_reached_by_way_of_it(home: Home) -> None:
    with tunnel() as (port, reached):
        home.cluster["proxy-url"] = f"http://127.0.0.1:{port}"
        assert home.connect().version() == (1, 36)
    assert reached == [home.cluster["server"].removeprefix("https://")]


@pytest.mark.parametrize("proxied", [False, True])
def test_a_program_is_run_by_tls_and_by_way_of_a_proxy(home: Home, proxied: bool) -> None:  # noqa: FBT001 - a row
    with tunnel() as (port, reached):
        if proxied:
            home.cluster["proxy-url"] = f"http://127.0.0.1:{port}"
        api = home.connect()
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
        api.apply({**pod, "spec": {"containers": [{"name": "app", "image": "app:1"}]}})
        given, out = os.memfd_create("in"), os.memfd_create("out")
        os.write(given, sent := os.urandom(1 << 20))
        os.lseek(given, 0, os.SEEK_SET)
        where = Pod(namespace="default", name="a", container="app")
        assert run(api, where, ("cat",), Streams(stdin=given, stdout=out, stderr=out)) == 0
        assert os.pread(out, 2 << 20, 0) == sent
    assert bool(reached) == proxied


def test_a_cluster_of_this_machine_is_reached_without_the_environments_proxy(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert home.connect().version() == (1, 36)


def test_a_proxy_that_is_gone_is_named(home: Home) -> None:
    with tunnel() as (port, _):
        pass
    home.cluster["proxy-url"] = f"http://127.0.0.1:{port}"
    with pytest.raises(BusyError, match=r"[Pp]roxy"):
        home.connect().version()


def test_a_server_under_a_path_is_asked_there(server: ApiServer, tmp_path: Path) -> None:
    home = Home(tmp_path, f"{server.url}/k8s/clusters/one/")
    with pytest.raises(TiffinError):
        home.connect().version()
    assert server.asked[-1].path == "/k8s/clusters/one/version"


@contextmanager
def tunnel() -> Iterator[tuple[int, list[str]]]:
    """A proxy for HTTPS, and where it was asked to connect to."""
    reached: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                asked = client.recv(4096).decode()
                target = asked.split()[1]
                reached.append(target)
                host, port = target.split(":")
                server = socket.create_connection((host, int(port)))
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1], reached
        listening.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        sink.close()
