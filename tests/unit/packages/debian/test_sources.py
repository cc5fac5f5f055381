from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.errors import ConfigError
from tiffin.packages.debian.apt_conf import read_settings
from tiffin.packages.debian.sources import (
    MIRROR_VARIABLE,
    Mirrors,
    find_mirrors,
    parse_list,
    parse_mirrors,
    parse_sources,
)

KEYRING = "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"


def uris(text: str) -> list[tuple[str, str]]:
    return [(source.uri, source.suite) for source in (parse_sources if "URIs:" in text else parse_list)(text)]


def test_the_paragraphs_of_debian_are_read() -> None:
    text = f"""\
# a comment
Types: deb deb-src
# another
URIs: http://one.example/debian/ http://two.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
{KEYRING}

Types: deb
URIs: http://one.example/debian-security
Suites: bookworm-security
Components: main
"""
    assert uris(text) == [
        ("http://one.example/debian", "bookworm"),
        ("http://two.example/debian", "bookworm"),
        ("http://one.example/debian", "bookworm-updates"),
        ("http://two.example/debian", "bookworm-updates"),
        ("http://one.example/debian-security", "bookworm-security"),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Types", "deb-src"),
        ("Suites", "nodistro"),
        ("Suites", "jammy"),
        ("Suites", "bookworm-pgdg"),
        ("Suites", "bookworm-backports"),
        ("Components", "stable"),
        ("Signed-By", "/etc/apt/keyrings/other.asc"),
        ("Signed-By", "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF"),
        ("Enabled", "no"),
    ],
)
def test_paragraphs_that_are_not_debians_own_are_passed_over(field: str, value: str) -> None:
    fields = {"Types": "deb", "URIs": "http://one.example/x", "Suites": "bookworm", "Components": "main"}
    assert uris("".join(f"{k}: {v}\n" for k, v in fields.items()))
    assert not uris("".join(f"{k}: {v}\n" for k, v in {**fields, field: value}.items()))


def test_lines_of_debian_are_read_with_and_without_options() -> None:
    text = """\
deb http://one.example/debian bookworm main contrib # a comment
# deb http://two.example/debian bookworm main
deb-src http://three.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://four.example/debian/ trixie main
deb [signed-by=/etc/apt/keyrings/docker.gpg] http://five.example/debian bookworm main
deb http://six.example/debian bookworm stable
deb http://seven.example/debian stable-security main
deb http://eight.example/ubuntu noble main
"""
    assert uris(text) == [
        ("http://one.example/debian", "bookworm"),
        ("http://four.example/debian", "trixie"),
        ("http://seven.example/debian", "stable-security"),
    ]


def apt(tmp_path: Path, **files: str) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "apt.conf.d").mkdir()
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_", ".")
        path.write_text(text)
    return tmp_path


def test_the_project_goes_before_the_environment_and_that_before_apt(tmp_path: Path) -> None:
    root = apt(tmp_path, sources_list="deb http://apt.example/debian bookworm main\n")
    told = {MIRROR_VARIABLE: "http://told.example/debian"}
    assert find_mirrors("http://mine.example/debian", told, root).main == ("http://mine.example/debian",)
    assert find_mirrors(None, told, root).main == ("http://told.example/debian",)
    assert find_mirrors(None, {}, root).main == ("http://apt.example/debian",)


def test_apts_mirrors_are_used_whatever_suite_they_are_written_for(tmp_path: Path) -> None:
    root = apt(
        tmp_path,
        sources_list="deb http://a.example/debian bookworm main\ndeb http://b.example/sec bookworm-security main\n",
        sources_list_d__more_list="deb http://a.example/debian bookworm-updates main\n",
        sources_list_d__off_list_disabled="deb http://c.example/debian bookworm main\n",
    )
    assert find_mirrors(None, {}, root) == Mirrors(
        main=("http://a.example/debian",), security=("http://b.example/sec",)
    )


def test_sources_that_name_debians_keys_are_asked_first(tmp_path: Path) -> None:
    root = apt(
        tmp_path,
        sources_list="deb http://unknown.example/debian bookworm main\n",
        sources_list_d__debian_sources=f"Types: deb\nURIs: http://signed.example/debian\nSuites: trixie\n"
        f"Components: main\n{KEYRING}\n",
    )
    assert find_mirrors(None, {}, root).main == ("http://signed.example/debian", "http://unknown.example/debian")


def test_a_file_of_mirrors_is_followed(tmp_path: Path) -> None:
    listed = tmp_path / "mirrors.txt"
    listed.write_text("http://a.example/debian/\tpriority:1\n\nhttp://b.example/debian\n")
    root = apt(tmp_path, sources_list=f"deb mirror+file://{listed} bookworm main\ndeb cdrom:[x]/ bookworm main\n")
    assert find_mirrors(None, {}, root).main == ("http://a.example/debian", "http://b.example/debian")


def test_without_any_mirror_the_user_is_asked_for_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no mirror") as caught:
        find_mirrors(None, {}, tmp_path)
    assert "[image] mirror" in str(caught.value.hint)


def test_one_address_or_two_are_a_mirror() -> None:
    assert parse_mirrors("http://a.example/debian/", "x") == Mirrors(
        main=("http://a.example/debian",), security=("http://a.example/debian-security",)
    )
    assert parse_mirrors("https://a.example/d http://b.example/s", "x").security == ("http://b.example/s",)


@pytest.mark.parametrize("text", ["a.example/debian", "file:///srv/debian", "http://", "http://a http://b http://c"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="`\\[image\\] mirror` is not the address"):
        parse_mirrors(text, "`[image] mirror`")


def test_apts_proxy_and_its_word_on_dates_are_taken(tmp_path: Path) -> None:
    root = apt(
        tmp_path,
        sources_list="deb http://a.example/debian bookworm main\n",
        apt_conf_d__10proxy='Acquire::http::Proxy "http://proxy.example:3128/";\nAcquire::https::Proxy "DIRECT";\n',
        apt_conf_d__99dates='Acquire::Check-Valid-Until "false";\n',
        apt_conf_d__50old_bak='Acquire::http::Proxy "http://ignored.example/";\n',
    )
    found = find_mirrors(None, {}, root)
    assert found.proxies == {"http": "http://proxy.example:3128/", "https": ""}
    assert not found.dates
    assert find_mirrors("http://mine.example/debian", {}, root).dates


@pytest.mark.parametrize(
    "text",
    [
        'Acquire::http::Proxy "http://p:1/";',
        "Acquire::HTTP::proxy http://p:1/;",
        'Acquire { http { Timeout "3"; Proxy "http://p:1/"; }; };',
        'Acquire::http { Proxy "http://p:1/"; }; Other "x";',
        '// Acquire::http::Proxy "http://no/";\n# more\n/* Proxy "http://no/"; */ Acquire::http::Proxy\n"http://p:1/";',
        'Acquire::http::Proxy "http://no/"; Acquire::http::Proxy "http://p:1/";',
        'A { B { "one"; "two"; }; }; }; Acquire::http::Proxy "http://p:1/";',
    ],
)
def test_settings_are_read_in_every_way_of_writing_them(text: str) -> None:
    assert read_settings(text)["acquire::http::proxy"] == "http://p:1/"
