"""Kubeconfigs as people have them, and what is wrong with them."""

# ruff: noqa: S105, S106 - these tokens open nothing
from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver.authority import Authority
from tiffin.deploy.kubernetes.client.kubeconfig import connect, login_of, place_of
from tiffin.deploy.kubernetes.client.kubeconfig_files import choose, read_kubeconfig
from tiffin.deploy.kubernetes.client.login import Identity, TokenFile
from tiffin.errors import ConfigError, NotFoundError, TiffinError

AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.issue("dana")


def document(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> dict[str, Any]:
    cluster = {"server": "https://one.invalid:6443"} | (cluster or {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "one", "cluster": cluster}],
        "users": [{"name": "dana", "user": user or {}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "dana", "namespace": "team"}}],
    }


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def refusal(tmp_path: Path, content: Any, **wanted: str) -> TiffinError:
    file = write(tmp_path / "config", content)
    with pytest.raises(ConfigError) as refused:
        connect(path=str(file), env={}, **wanted)  # type: ignore[arg-type]
    assert str(file) in refused.value.message
    assert refused.value.hint
    return refused.value


def identity(tmp_path: Path, user: dict[str, Any]) -> Identity:
    file = write(tmp_path / "config", document(user=user))
    return login_of(choose(read_kubeconfig(str(file), {})), {}).identity()


def test_the_current_context_says_cluster_and_namespace(tmp_path: Path) -> None:
    file = write(tmp_path / "config", document())
    assert connect(path=str(file), env={})[1] == "team"
    assert connect(path=str(file), namespace="other", env={})[1] == "other"


def test_a_context_is_chosen_by_name_and_others_are_told(tmp_path: Path) -> None:
    assert "no context 'two'" in refusal(tmp_path, document(), context="two").message
    assert refusal(tmp_path, document(), context="two").hint == "there are: one"


def test_a_namespace_that_is_not_given_is_default(tmp_path: Path) -> None:
    content = document()
    del content["contexts"][0]["context"]["namespace"]
    assert connect(path=str(write(tmp_path / "config", content)), env={})[1] == "default"


def test_the_file_at_home_is_used_where_none_is_named(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config", document())
    assert connect(env={"HOME": str(tmp_path)})[1] == "team"


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no kubeconfig"):
        connect(path=str(tmp_path / "none"), env={})


def test_of_several_files_the_first_to_say_something_wins(tmp_path: Path) -> None:
    first = document({"tls-server-name": "first"})
    first.pop("current-context")
    second = document({"server": "https://second.invalid", "proxy-url": "http://proxy.invalid"})
    second["clusters"].append({"name": "two", "cluster": {"server": "https://two.invalid"}})
    files = [write(tmp_path / "1", first), tmp_path / "none", write(tmp_path / "2", second)]
    config = read_kubeconfig("", {"KUBECONFIG": ":".join(map(str, files)) + ":"})
    assert config.current == "one"
    assert sorted(config.clusters) == ["one", "two"]
    chosen = place_of(choose(config).cluster, choose(config).user)
    assert (chosen.url, chosen.tls.name, chosen.proxy) == ("https://one.invalid:6443", "first", "")


def test_where_no_file_of_kubeconfig_exists_the_hint_names_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as refused:
        connect(env={"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)})
    assert str(tmp_path / "none") in refused.value.message
    assert "KUBECONFIG" in (refused.value.hint or "")


def test_paths_are_relative_to_the_file_that_has_them(tmp_path: Path) -> None:
    write(tmp_path / "keys" / "ca.pem", AUTHORITY.pem)
    content = document({"certificate-authority": "keys/ca.pem"}, {"tokenFile": "keys/token"})
    write(tmp_path / "keys" / "token", "t0ken\n")
    file = write(tmp_path / "config", content)
    choice = choose(read_kubeconfig(str(file), {}))
    assert place_of(choice.cluster, choice.user).tls.sole == AUTHORITY.pem
    assert login_of(choice, {}).identity().token == "t0ken"


def test_certificates_come_as_data_or_in_files(tmp_path: Path) -> None:
    write(tmp_path / "key.pem", KEY)
    data = base64.b64encode(CERTIFICATE.encode()).decode()
    found = identity(tmp_path, {"client-certificate-data": data, "client-key": "key.pem"})
    assert found.certificate == f"{CERTIFICATE}\n{KEY}"


def test_a_token_file_is_read_again_and_comes_before_the_token(tmp_path: Path) -> None:
    now = [0.0]
    token = write(tmp_path / "token", "one")
    login = TokenFile(token, Identity(token="fixed"), lambda: now[0])
    assert login.identity().token == "one"
    token.write_text("two")
    assert login.identity().token == "one"
    now[0] = 61
    assert login.identity().token == "two"
    token.unlink()
    now[0] = 122
    assert login.identity().token == "two"


def test_a_refused_token_is_looked_up_at_once(tmp_path: Path) -> None:
    token = write(tmp_path / "token", "one")
    login = TokenFile(token)
    refused = login.identity()
    assert not login.refresh(refused)
    token.write_text("two")
    assert login.refresh(refused)
    assert login.identity().token == "two"


def test_a_token_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(TiffinError, match=r"cannot read the token in .*: No such file"):
        TokenFile(tmp_path / "none").identity()


@pytest.mark.parametrize(
    ("cluster", "message", "hint"),
    [
        ({"server": ""}, "clusters[one].server is ''", "https://HOST:PORT"),
        ({"server": "one.invalid:6443"}, "clusters[one].server is 'one.invalid:6443'", "https://HOST:PORT"),
        ({"server": 6443}, "clusters[one].server must be a text", "quotes"),
        ({"insecure-skip-tls-verify": "yes"}, "clusters[one].insecure-skip-tls-verify must be true or false", "quotes"),
        ({"certificate-authority": "no.pem"}, "no.pem, which cannot be read: No such file", "PEM"),
        ({"certificate-authority-data": "%"}, "certificate-authority-data is no base64", "base64 -w0"),
        ({"certificate-authority-data": "bm9uZQ=="}, "certificate-authority has no certificate", "PEM"),
        ({"proxy-url": "socks5://p.invalid:1"}, "proxy-url is 'socks5://p.invalid:1'", "http://"),
        (
            {
                "insecure-skip-tls-verify": True,
                "certificate-authority-data": base64.b64encode(AUTHORITY.pem.encode()).decode(),
            },
            "insecure-skip-tls-verify stands beside a certificate-authority",
            "leave one of them out",
        ),
    ],
)
def test_a_mistake_in_a_cluster_is_told_with_its_place(
    tmp_path: Path, cluster: dict[str, Any], message: str, hint: str
) -> None:
    refused = refusal(tmp_path, document(cluster))
    assert message in refused.message
    assert hint in (refused.hint or "")


@pytest.mark.parametrize(
    ("user", "message", "hint"),
    [
        ({"username": "dana", "password": "x"}, "users[dana].username cannot be used", "token or certificate"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider (gcp) cannot be used", "gke-gcloud-auth-plugin"),
        ({"auth-provider": {"name": "oidc"}}, "auth-provider (oidc) cannot be used", "a credential plugin"),
        ({"client-key-data": base64.b64encode(KEY.encode()).decode()}, "client-certificate is missing", "together"),
        ({"token": 7}, "users[dana].token must be a text", "quotes"),
        ({"as-groups": ["ops"]}, "as-groups and as-user-extra are not sent", "`as` alone"),
        ({"exec": "aws"}, "users[dana].exec must be a table", "indent"),
        ({"exec": {"command": "x"}}, "exec.apiVersion is ''", "client.authentication.k8s.io/v1"),
        (
            {"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1alpha1"}},
            "exec.apiVersion is 'client.authentication.k8s.io/v1alpha1'",
            "bring the plugin up to date",
        ),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1"}}, "exec.command is missing", "program"),
        (
            {"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1"}},
            "exec.interactiveMode is ''",
            "IfAvailable",
        ),
        (
            {"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1beta1", "args": [1]}},
            "exec.args must be a list of texts",
            "quotes",
        ),
        (
            {"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1beta1", "env": [{"name": "A"}]}},
            "exec.env must be a list of `name` and `value`",
            "quotes",
        ),
    ],
)
def test_a_mistake_in_a_user_is_told_with_its_place(
    tmp_path: Path, user: dict[str, Any], message: str, hint: str
) -> None:
    refused = refusal(tmp_path, document(user=user))
    assert message in refused.message
    assert hint in (refused.hint or "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("clusters: [", "cannot read the kubeconfig"),
        ("just words", "is no kubeconfig"),
        ("kind: Pod", "is no kubeconfig"),
        ("clusters: {}\ncontexts: 3", "contexts must be a list"),
        ("users: [{name: 7}]", "users[0] has no name"),
        ("contexts: [{name: a, context: 7}]", "contexts[a].context must be a table"),
        ("contexts: [{name: a, context: {cluster: none}}]\ncurrent-context: a", "contexts[a].cluster is 'none'"),
        ("contexts: [{name: a, context: {}}]\ncurrent-context: a", "contexts[a].cluster is missing"),
        ("contexts: [{name: a, context: {}}]", "there is no current context"),
        ("current-context: a", "there is no context 'a', which is the current one"),
        ("\0", "cannot read the kubeconfig"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    assert message in refusal(tmp_path, content).message


def test_nothing_is_shown_where_all_could_read_it(tmp_path: Path) -> None:
    refused = refusal(tmp_path, document({"server": "http://one.invalid"}, {"token": "t0ken"}))
    assert "clusters[one].server is 'http://one.invalid', where all could read who asks" in refused.message
    for server, user in (("http://one.invalid", {}), ("http://localhost:8001", {"token": "t0ken"})):
        connect(path=str(write(tmp_path / "config", document({"server": server}, user))), env={})


def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    for name, content in (("ca.crt", AUTHORITY.pem), ("namespace", "team\n"), ("token", "t0ken")):
        write(tmp_path / name, content)
    env = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443", "HOME": str(tmp_path)}
    assert connect(env=env, mounted=tmp_path)[1] == "team"


def test_a_pod_without_its_service_account_is_told_how_to_have_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        connect(env={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, mounted=tmp_path)
    assert "automountServiceAccountToken" in (refused.value.hint or "")


def test_nothing_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no kubeconfig with a context"):
        connect(env={"HOME": str(tmp_path)})
