"""Requirements are read whole, and every mistake is told with its place."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import ConfigError, TiffinError, UnsupportedError
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.settings import IndexSettings

A, B = "a" * 64, "b" * 64


def texts(requirements: Requirements) -> list[str]:
    return [requirement.text for requirement in requirements.wanted]


def test_a_file_means_what_pip_takes_it_to_mean(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more.txt").write_text("-c limits.txt\nscipy\n")
    (tmp_path / "sub" / "limits.txt").write_text("numpy<3\n")
    main = tmp_path / "requirements.txt"
    main.write_text(
        "\ufeff# what the model needs\n\n"
        "Scikit_Learn == 1.9.1  # pinned\n"
        "pandas[parquet] >=2, <4 ; python_version > '3.9'\n"
        f"joblib==1.6.0 \\\n    --hash=sha256:{A} \\\n    --hash sha256:{B.upper()}  # two\n"
        "-r sub/more.txt\n--requirement=sub/more.txt\n"
        "--only-binary :all:\n--pre\n"
    )
    read = Requirements.of_file(main)
    assert texts(read) == [
        "scikit-learn==1.9.1",
        'pandas[parquet]<4,>=2; python_version > "3.9"',
        "joblib==1.6.0",
        "scipy",
    ]
    assert [requirement.text for requirement in read.constraints] == ["numpy<3"]
    assert read.wanted[2].hashes == {A, B}
    assert read.wanted[2].line == f"joblib==1.6.0 --hash=sha256:{A} --hash=sha256:{B}"
    assert read.wanted[2].place == f"{main}:5"
    assert read.wanted[3].place == f"{tmp_path / 'sub' / 'more.txt'}:2"
    assert read.prereleases


def test_index_options_of_a_file_become_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    main = tmp_path / "requirements.txt"
    main.write_text(
        "-i https://user:${TOKEN}@index.test/simple\n--extra-index-url=https://other.test/simple\n"
        "-f wheels\n--find-links https://links.test/page\nnumpy\n"
    )
    assert Requirements.of_file(main).settings == IndexSettings(
        default_index="https://user:s3cret@index.test/simple",
        indexes=("https://other.test/simple",),
        find_links=(str(tmp_path / "wheels"), "https://links.test/page"),
        alike=True,
    )


def test_files_that_include_each_other_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("-r b.txt\nnumpy\n")
    (tmp_path / "b.txt").write_text("-r a.txt\nscipy\n")
    assert texts(Requirements.of_file(tmp_path / "a.txt")) == ["scipy", "numpy"]


REFUSED: dict[str, tuple[str, type[TiffinError], str]] = {
    "one equals sign": ("numpy=1", ConfigError, "not a requirement: 'numpy=1'"),
    "a version that is none": ("numpy==one", ConfigError, "not a requirement"),
    "two names": ("numpy scipy", ConfigError, "not a requirement"),
    "an unknown option": ("--frobnicate", ConfigError, "--frobnicate is not known"),
    "an option for building": ("--no-binary numpy", ConfigError, "--no-binary is not known"),
    "an include that is not there": ("-r other.txt", ConfigError, "cannot read"),
    "only a weak hash": ("numpy==1 --hash=md5:abc", ConfigError, "no sha256"),
    "a hash that is too short": ("numpy==1 --hash=sha256:abc", ConfigError, "no sha256"),
    "an editable folder": ("-e .", UnsupportedError, "editable"),
    "an editable folder, long": ("--editable=./here", UnsupportedError, "editable"),
    "a repository": ("git+https://host.test/x.git", UnsupportedError, "address"),
    "a named repository": ("x @ git+https://host.test/x.git", UnsupportedError, "address"),
    "an address": ("https://host.test/x-1-py3-none-any.whl", UnsupportedError, "address"),
    "a named address": ("x @ https://host.test/x-1-py3-none-any.whl", UnsupportedError, "address"),
    "an archive that is no sdist": ("x.tar.bz2", UnsupportedError, "path"),
    "a folder that is a constraint": ("-c constraints.txt", UnsupportedError, "path"),
}
LOCAL = {
    "./x": ("x", "./x"),
    ".": ("", "."),
    "../x[a,b]": ("../x", "../x[a,b]"),
    "x/": ("x", "x/"),
    "file:x": ("x", "x"),
    "X.y @ ./z%20z": ("z%20z", "x-y @ ./z%20z"),
    "x[a] @ file:///srv/z%20z": ("/srv/z z", "x @ /srv/z z[a]"),
    "x-1-py3-none-any.whl": ("x-1-py3-none-any.whl", "x-1-py3-none-any.whl"),
    "dir/x.whl ; python_version > '3'": ("dir/x.whl", "dir/x.whl ; python_version > '3'"),
    "/srv/x.tar.gz": ("/srv/x.tar.gz", "/srv/x.tar.gz"),
}


@pytest.mark.parametrize("line", LOCAL)
def test_what_lies_on_this_machine_is_found_from_where_the_file_lies(line: str, tmp_path: Path) -> None:
    where, text = LOCAL[line]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "requirements.txt").write_text(line)
    (read,) = Requirements.of_file(tmp_path / "sub" / "requirements.txt").wanted
    assert read.path == Path(os.path.normpath(tmp_path / "sub" / where))
    assert read.text == text
    assert str(tmp_path) not in read.line


@pytest.mark.parametrize("name", REFUSED)
def test_a_line_that_cannot_be_locked_is_refused_with_file_and_line(name: str, tmp_path: Path) -> None:
    line, error, words = REFUSED[name]
    main = tmp_path / "requirements.txt"
    main.write_text(f"# first\nscipy\n{line}\n")
    (tmp_path / "constraints.txt").write_text("./x")
    with pytest.raises(error, match=words) as caught:
        Requirements.of_file(main)
    assert caught.value.message.startswith((f"{main}:3: ", f"{tmp_path / 'constraints.txt'}:1: "))
    assert caught.value.hint


def test_a_wrong_string_in_the_config_is_refused_with_its_position() -> None:
    with pytest.raises(ConfigError, match=r"^\[python\] dependencies\[1\]: not a requirement"):
        Requirements.of(["numpy", "scipy=1"], "[python] dependencies")


def test_an_option_among_strings_is_no_requirement() -> None:
    with pytest.raises(ConfigError, match="not a requirement"):
        Requirements.of(["-r other.txt"])


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        Requirements.of_file(tmp_path / "r.txt")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        Requirements.of_file(tmp_path / "r.txt")


@given(st.text(max_size=60))
def test_any_line_is_read_or_refused_and_never_a_crash(line: str) -> None:
    with contextlib.suppress(ConfigError, UnsupportedError):
        assert len(Requirements.of([line]).wanted) == 1
