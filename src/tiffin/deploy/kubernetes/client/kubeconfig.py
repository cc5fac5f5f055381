"""Find a cluster as kubectl does: `--kubeconfig`, KUBECONFIG, `~/.kube/config`, or the pod we are in."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tiffin.deploy.kubernetes.client.asking import PATIENCE, Asking, Place, is_near
from tiffin.deploy.kubernetes.client.cluster import Api
from tiffin.deploy.kubernetes.client.kubeconfig_files import Choice, Entry, choose, places, read_kubeconfig
from tiffin.deploy.kubernetes.client.login import Fixed, Identity, Login, TokenFile
from tiffin.deploy.kubernetes.client.plugin import VERSIONS, Plugin, Program
from tiffin.errors import ConfigError, NotFoundError
from tiffin.network import Patience, Tls

MOUNTED = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod has the token of its service account, the cluster's authority, and its namespace."""


def connect(
    *,
    path: str = "",
    context: str = "",
    namespace: str = "",
    env: Mapping[str, str] = os.environ,
    mounted: Path = MOUNTED,
    patience: Patience = PATIENCE,
) -> tuple[Api, str]:
    """Return a cluster as its kubeconfig says to talk to it, and the namespace to use; nothing is asked yet.

    What is not given is the kubeconfig's current context and that one's namespace, or `default`. In a pod without a
    kubeconfig it is the pod's own cluster, whose context TIFFIN_CONTEXT names. Raises ConfigError
    with file and place for whatever is wrong there, and NotFoundError where there is neither one nor a pod around us.
    """
    config = read_kubeconfig(path, env)
    if config.files and (config.contexts or context or config.current):
        choice = choose(config, context)
        asking = Asking(place_of(choice.cluster, choice.user), login_of(choice, env), patience)
        own = choice.namespace
    elif env.get("KUBERNETES_SERVICE_HOST") and not path and context in {"", env.get("TIFFIN_CONTEXT", "")}:
        asking, own = _pod(env, mounted, patience)
    else:
        looked = ", ".join(map(str, places(path, env))) or "anywhere"
        hint = "let KUBECONFIG name one; `kubectl config get-contexts` shows what it has"
        raise NotFoundError(f"there is no kubeconfig with a context in {looked}", hint)
    chosen = namespace or own
    return Api(asking, chosen), chosen


def place_of(cluster: Entry, user: Entry) -> Place:
    """Read where a cluster is, and whom its certificate must be from."""
    url = cluster.text("server")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise cluster.wrong("server", f"is {url!r}", "write it as https://HOST:PORT")
    if parts.scheme == "http" and not is_near(parts.hostname) and _shows_something(user):
        raise cluster.wrong("server", f"is {url!r}, where all could read who asks", "write it as https://")
    authority, anybody = cluster.content("certificate-authority"), cluster.flag("insecure-skip-tls-verify")
    if authority and anybody:
        hint = "leave one of them out: the certificate is either checked or not"
        raise cluster.wrong("insecure-skip-tls-verify", "stands beside a certificate-authority", hint)
    if authority:
        _check_authority(cluster, authority)
    proxy = cluster.text("proxy-url")
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        raise cluster.wrong("proxy-url", f"is {proxy!r}", "only http:// and https:// proxies are used")
    tls = Tls(sole=authority, anybody=anybody, name=cluster.text("tls-server-name"))
    return Place(url=url, tls=tls, proxy=proxy, headers=_impersonation(user))


def login_of(choice: Choice, env: Mapping[str, str]) -> Login:
    """Read who asks."""
    user = choice.user
    for key in ("username", "password"):
        if user.values.get(key) is not None:
            raise user.wrong(key, "cannot be used", "clusters know no passwords since 1.19: use a token or certificate")
    if old := user.part("auth-provider"):
        name = old.text("name") or "that one"
        plugin = {"gcp": "gke-gcloud-auth-plugin", "azure": "kubelogin"}.get(name, "a credential plugin")
        raise user.wrong(
            "auth-provider", f"({name}) cannot be used", f"have {plugin} in `exec`, as kubectl 1.26 wants it"
        )
    fixed = Identity(token=user.text("token"), certificate=_certificate(user))
    program = user.part("exec")
    if program is not None and not fixed.token:
        return Plugin(_program(program, choice.cluster, env), env)
    if token_file := user.path("tokenFile"):
        return TokenFile(token_file, fixed)
    return Fixed(fixed)


def _certificate(user: Entry) -> str:
    certificate, key = user.content("client-certificate"), user.content("client-key")
    if bool(certificate) != bool(key):
        missing = "client-key" if certificate else "client-certificate"
        raise user.wrong(missing, "is missing", "a client certificate and its key go together")
    if certificate and "-----BEGIN CERTIFICATE-----" not in certificate:
        raise user.wrong("client-certificate", "has no certificate", "put one there, in PEM")
    if key and "PRIVATE KEY-----" not in key:
        raise user.wrong("client-key", "has no private key", "put one there, in PEM")
    if key and "ENCRYPTED" in key:
        raise user.wrong(
            "client-key", "needs a passphrase", "`openssl pkey -in KEY -out KEY.open`, for you alone to read"
        )
    return f"{certificate}\n{key}" if certificate else ""


def _program(entry: Entry, cluster: Entry, env: Mapping[str, str]) -> Program:
    """Read which program to run."""
    version = entry.text("apiVersion")
    if version not in VERSIONS:
        raise entry.wrong("apiVersion", f"is {version!r}", f"bring the plugin up to date: it must be {VERSIONS[0]}")
    command = entry.text("command")
    if not command:
        raise entry.wrong("command", "is missing", "name the program")
    stdin = entry.text("interactiveMode") or ("" if version == VERSIONS[0] else "IfAvailable")
    if stdin not in {"Never", "IfAvailable", "Always"}:
        raise entry.wrong("interactiveMode", f"is {stdin!r}", "it must be Never, IfAvailable or Always")
    return Program(
        where=entry.where,
        version=version,
        command=_found(command, entry.file, env),
        arguments=_texts(entry, "args"),
        env=_variables(entry),
        stdin=stdin,
        hint=" ".join(entry.text("installHint").split()),
        cluster=_told(cluster) if entry.flag("provideClusterInfo") else None,
    )


def _found(command: str, file: Path, env: Mapping[str, str]) -> str:
    """A command with a slash is relative to the file's folder; another is looked for in the PATH."""
    if "/" in command:
        return str(file.parent / command)
    return shutil.which(command, path=env.get("PATH")) or command


def _texts(entry: Entry, key: str) -> tuple[str, ...]:
    listed = entry.values.get(key) or []
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise entry.wrong(key, "must be a list of texts", "put each in quotes")
    return tuple(listed)


def _variables(entry: Entry) -> dict[str, str]:
    try:
        listed = msgspec.convert(entry.values.get("env") or [], list[dict[str, str]])
        return {item["name"]: item["value"] for item in listed}
    except (msgspec.ValidationError, KeyError) as error:
        raise entry.wrong("env", "must be a list of `name` and `value`", "put each value in quotes") from error


def _told(cluster: Entry) -> dict[str, object]:
    """What a plugin is told of the cluster, if it asks (`spec.cluster` of ExecCredential)."""
    import base64  # noqa: PLC0415 - few plugins ask

    authority = cluster.content("certificate-authority")
    extensions = cluster.values.get("extensions")
    told = {
        "server": cluster.text("server"),
        "tls-server-name": cluster.text("tls-server-name"),
        "insecure-skip-tls-verify": cluster.flag("insecure-skip-tls-verify"),
        "certificate-authority-data": base64.b64encode(authority.encode()).decode(),
        "proxy-url": cluster.text("proxy-url"),
        "config": next(
            (
                item.get("extension")
                for item in (extensions if isinstance(extensions, list) else [])
                if item.get("name") == "client.authentication.k8s.io/exec"
            ),
            None,
        ),
    }
    return {key: value for key, value in told.items() if value}


def _impersonation(user: Entry) -> dict[str, str]:
    """Headers of who asks in another's name."""
    if user.values.get("as-groups") or user.values.get("as-user-extra"):
        raise user.wrong("as-groups", "and as-user-extra are not sent", "use `as` alone, or a user who may do this")
    said = {"Impersonate-User": user.text("as"), "Impersonate-Uid": user.text("as-uid")}
    return {name: value for name, value in said.items() if value}


def _shows_something(user: Entry) -> bool:
    return any(user.values.get(key) for key in ("token", "tokenFile", "exec"))


def _check_authority(cluster: Entry, authority: str) -> None:
    try:
        ssl.create_default_context(cadata=authority)
    except (ssl.SSLError, ValueError) as error:
        raise cluster.wrong("certificate-authority", f"has no certificate: {error}", "put one there, in PEM") from error


def _pod(env: Mapping[str, str], mounted: Path, patience: Patience) -> tuple[Asking, str]:
    """The cluster that we run in."""
    host, port = env["KUBERNETES_SERVICE_HOST"], env.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        authority = (mounted / "ca.crt").read_text(encoding="ascii")
        namespace = (mounted / "namespace").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        hint = "let the pod have its token (`automountServiceAccountToken: true`), or let KUBECONFIG name a file"
        raise ConfigError(f"cannot read the service account in {mounted}: {error}", hint) from error
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    place = Place(url=url, tls=Tls(sole=authority))
    return Asking(place, TokenFile(mounted / "token"), patience), namespace or "default"
