"""What pip is told of indexes holds here too, by pip's own order, and uv's variables go first."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tiffin import progress
from tiffin.errors import ConfigError, DeniedError
from tiffin.packages.index import fetch_all
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.pip_settings import config_files, machine_settings, pip_settings
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.settings import IndexSettings
from tiffin.packages.pypi.uv_index import HINTS, UvIndex
from tiffin.packages.web import Web
from wheelhouse import Index, served, wheel


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose config files are the test's; the machine's own /etc/pip.conf is not on the list."""
    return {"HOME": str(tmp_path / "home"), "PIP_CONFIG_FILE": os.devnull}


def config(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def notes(environ: dict[str, str]) -> list[str]:
    events: list[progress.Event] = []
    with progress.listening(events.append):
        pip_settings(environ)
    return [event.message for event in events if isinstance(event, progress.Noted)]


def test_variables_of_pip_are_read_as_pip_reads_them(environ: dict[str, str], tmp_path: Path) -> None:
    certificates = config(tmp_path / "ca.pem", "")
    environ |= {
        "PIP_INDEX_URL": "https://u:p@a.test/simple",
        "PIP_EXTRA_INDEX_URL": "https://b.test/simple\nhttps://c.test/simple",
        "PIP_FIND_LINKS": f"{tmp_path} https://d.test/page",
        "PIP_NO_INDEX": "off",
        "PIP_CERT": str(certificates),
    }
    assert pip_settings(environ) == IndexSettings(
        default_index="https://u:p@a.test/simple",
        indexes=("https://b.test/simple", "https://c.test/simple"),
        find_links=(str(tmp_path), "https://d.test/page"),
        alike=True,
        certificates=str(certificates),
    )
    assert pip_settings(environ | {"PIP_NO_INDEX": "1"}).no_index


def test_files_go_over_each_other_in_pips_order(environ: dict[str, str], tmp_path: Path) -> None:
    del environ["PIP_CONFIG_FILE"]
    environ |= {"XDG_CONFIG_DIRS": str(tmp_path / "xdg"), "VIRTUAL_ENV": str(tmp_path / "venv")}
    home = tmp_path / "home"
    places = {
        "a": tmp_path / "xdg" / "pip" / "pip.conf",
        "b": home / ".pip" / "pip.conf",
        "c": home / ".config" / "pip" / "pip.conf",
        "d": tmp_path / "venv" / "pip.conf",
    }
    for name, path in places.items():
        config(path, f"[global]\nindex_url = https://{name}.test/simple\n[list]\nindex-url = https://x.test\n")
        assert pip_settings(environ).default_index == f"https://{name}.test/simple"
    config(places["a"], "[install]\nindex-url = https://install.test/simple\n")
    assert pip_settings(environ).default_index == "https://install.test/simple"
    environ["PIP_CONFIG_FILE"] = str(
        config(tmp_path / "own.conf", "[install]\n--index-url = https://own.test/simple\n")
    )
    assert pip_settings(environ).default_index == "https://own.test/simple"
    assert not set(config_files(environ)) & {places["b"], places["c"]}
    assert pip_settings(environ | {"PIP_INDEX_URL": "https://env.test/"}).default_index == "https://env.test/"
    assert pip_settings(environ | {"PIP_CONFIG_FILE": os.devnull}).default_index == ""


def test_pip_itself_reads_the_same_files(environ: dict[str, str], tmp_path: Path) -> None:
    del environ["PIP_CONFIG_FILE"]
    environ["XDG_CONFIG_DIRS"] = str(tmp_path / "xdg")
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "debug"], env=environ, capture_output=True, text=True, check=True
    ).stdout
    read = [line.split(",")[0].strip() for line in told.splitlines() if ", exists: " in line]
    assert sorted(map(str, config_files(environ))) == sorted(read)


def test_places_that_are_not_there_are_left_out_with_a_note(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "with space").mkdir()
    there = (tmp_path / "with space").as_uri()
    environ |= {
        "PIP_EXTRA_INDEX_URL": f"file:///nowhere/simple {there}",
        "PIP_FIND_LINKS": f"/nowhere/wheels {tmp_path}",
        "PIP_CERT": "/nowhere/ca.pem",
    }
    settings = pip_settings(environ)
    assert (settings.indexes, settings.find_links, settings.certificates) == ((there,), (str(tmp_path),), "")
    assert [text.partition(",")[0] for text in notes(environ)] == [
        "pip's settings name /nowhere/simple",
        "pip's settings name /nowhere/wheels",
        "pip's settings name /nowhere/ca.pem",
    ]


def test_where_uv_is_told_of_indexes_pips_are_not_asked(environ: dict[str, str], tmp_path: Path) -> None:
    environ |= {
        "PIP_INDEX_URL": "https://a.test/",
        "PIP_EXTRA_INDEX_URL": "https://b.test/",
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_CERT": str(config(tmp_path / "ca.pem", "")),
    }
    assert machine_settings(environ).default_index == "https://a.test/"
    environ |= {"UV_INDEX": "https://uv.test/", "SSL_CERT_FILE": "/uvs.pem"}
    assert machine_settings(environ) == IndexSettings(indexes=("https://uv.test/",), find_links=(str(tmp_path),))


def test_indexes_of_pip_are_alike_and_those_of_uv_are_not(environ: dict[str, str]) -> None:
    pips = {"PIP_EXTRA_INDEX_URL": "https://b.test/"}
    assert machine_settings(environ | pips).environment({})["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    chosen = {"UV_INDEX_STRATEGY": "first-index"}
    assert machine_settings(environ | pips).environment(chosen)["UV_INDEX_STRATEGY"] == "first-index"
    assert "UV_INDEX_STRATEGY" not in machine_settings(environ | {"UV_INDEX": "https://b.test/"}).environment({})


@pytest.mark.parametrize("text", ["index-url = x\n", "[global\n", "[global]\nindex-url = a\nindex-url = b\n", "\udcff"])
def test_a_file_that_cannot_be_read_is_named(text: str, environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=str(path)) as caught:
        pip_settings(environ | {"PIP_CONFIG_FILE": str(path)})
    assert "PIP_CONFIG_FILE" in (caught.value.hint or "")


@pytest.fixture
def index() -> Iterator[Index]:
    with served(wheel("lib", "1.0"), wheel("lib", "2.0"), wheel("other"), wheel("big", "2.13")) as running:
        yield running


def test_an_index_in_a_folder_that_lacks_most_packages_hides_none(
    index: Index, python: ImagePython, tmp_path: Path, environ: dict[str, str]
) -> None:
    page = tmp_path / "index" / "simple" / "lib" / "index.html"
    old, patched = wheel("lib", "1.0"), wheel("big", "2.13+cpu")
    config(page, f'<a href="../../{old.name}#sha256={old.sha256}">{old.name}</a>')
    old.into(tmp_path / "index")
    (tmp_path / "wheels").mkdir()
    patched.into(tmp_path / "wheels")
    environ |= {
        "PIP_INDEX_URL": index.url,
        "PIP_EXTRA_INDEX_URL": (tmp_path / "index" / "simple").as_uri(),
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
    }
    packages = UvIndex(python, tmp_path / "cache", machine_settings(environ))
    pins = packages.resolve(Requirements.of(["lib>=2", "other", "big==2.13"]))
    assert [str(pin) for pin in pins] == ["big==2.13+cpu", "lib==2.0", "other==1.0"]
    (kept,) = packages.resolve(Requirements.of(["lib==1.0"]))
    assert not index.asked or fetch_all(packages, [kept, *pins])[0].read_bytes() == old.data


def test_a_pin_without_a_local_version_is_not_taken_for_one_with(
    index: Index, python: ImagePython, tmp_path: Path
) -> None:
    settings = IndexSettings(default_index=index.url)
    (pin,) = UvIndex(python, tmp_path / "there", settings).resolve(Requirements.of(["big"]))
    wheel("big", "2.13+cpu").into(tmp_path)
    here = UvIndex(python, tmp_path / "here", settings.over(IndexSettings(find_links=(str(tmp_path),))))
    assert here.fetch(pin).name == "big-2.13-py3-none-any.whl"


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_a_file_without_certificates_is_named(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"no certificates in .*ca\.pem") as caught:
        next(Web(HINTS, certificates=str(path)).read("https://127.0.0.1:1/"))
    assert "PIP_CERT" in (caught.value.hint or "")


@pytest.mark.program("openssl")
def test_downloads_trust_the_certificates_that_are_named(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=here",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "file").write_bytes(b"here it is")
    with tls(tmp_path / "index", certificate, key) as url:
        with pytest.raises(DeniedError, match="certificate is not trusted"):
            next(Web(HINTS).read(f"{url}/file"))
        assert b"".join(Web(HINTS, certificates=str(certificate)).read(f"{url}/file")) == b"here it is"


@contextmanager
def tls(folder: Path, certificate: Path, key: Path) -> Iterator[str]:
    """Serve a folder over TLS on a loopback port until the block ends."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that trusts nobody hangs up
        server.socket = trusted.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
