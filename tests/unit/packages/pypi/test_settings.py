"""Index settings are uv's own, and passwords stay out of arguments and messages."""

from __future__ import annotations

from pathlib import Path

from tiffin.oci.platform import Platform
from tiffin.packages.pypi.image_python import ImagePython
from tiffin.packages.pypi.resolve import command
from tiffin.packages.pypi.settings import IndexSettings, without_credentials


def test_uvs_variables_are_read_with_the_newer_name_first() -> None:
    environ = {
        "UV_DEFAULT_INDEX": "https://a.test/simple",
        "UV_INDEX_URL": "https://old.test/simple",
        "UV_EXTRA_INDEX_URL": "https://b.test/simple https://c.test/simple",
        "UV_FIND_LINKS": "/wheels,https://d.test/",
        "UV_NO_INDEX": "true",
    }
    assert IndexSettings.of(environ) == IndexSettings(
        default_index="https://a.test/simple",
        indexes=("https://b.test/simple", "https://c.test/simple"),
        find_links=("/wheels", "https://d.test/"),
        no_index=True,
    )
    assert IndexSettings.of({}) == IndexSettings()


def test_settings_reach_uv_by_environment_and_a_folder_as_an_address() -> None:
    settings = IndexSettings(default_index="https://u:p@a.test/simple", find_links=("/with, comma and space",))
    made = settings.environment({"HOME": "/root", "UV_PYTHON": "3.9", "UV_SYSTEM_PYTHON": "1"})
    assert made == {
        "HOME": "/root",
        "UV_DEFAULT_INDEX": "https://u:p@a.test/simple",
        "UV_FIND_LINKS": "file:///with%2C%20comma%20and%20space",
    }


def test_what_is_set_here_goes_over_what_is_set_there() -> None:
    here = IndexSettings(default_index="https://here.test/", indexes=("https://x.test/",))
    there = IndexSettings(default_index="https://there.test/", indexes=("https://y.test/", "https://x.test/"))
    assert here.over(there) == IndexSettings(
        default_index="https://here.test/", indexes=("https://x.test/", "https://y.test/")
    )


def test_named_indexes_lose_their_name_and_folders_are_no_address() -> None:
    settings = IndexSettings(indexes=("torch=https://u:p@t.test/whl",), find_links=("/wheels",))
    assert settings.urls == ["https://u:p@t.test/whl"]


def test_credentials_are_taken_out_of_any_text() -> None:
    assert without_credentials("GET https://u:p%40@a.test/x, http://b.test") == "GET https://a.test/x, http://b.test"


def test_uv_is_asked_for_the_image_and_nothing_else() -> None:
    python = ImagePython(version="3.13", platform=Platform.parse("linux/arm64"), glibc=(2, 41))
    argv = command(python, Path("/cache"), "--no-deps")
    assert argv[1:4] == ["pip", "compile", "-"]
    assert argv[argv.index("--python-platform") + 1] == "aarch64-manylinux_2_40"
    assert argv[argv.index("--python-version") + 1] == "3.13"
    assert {"--no-config", "--no-python-downloads", "--system-certs", "--no-deps"} <= set(argv)
