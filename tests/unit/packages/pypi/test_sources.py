"""Each kind of file that lists packages is told by its name, and what cannot be used is refused with a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.errors import ConfigError, TiffinError, UnsupportedError
from tiffin.packages.pypi.image_python import ImagePython, suits
from tiffin.packages.pypi.requirements import Requirements
from tiffin.packages.pypi.sources import listed, read_requirements

PROJECT = '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["Lib >=2", "scipy"]\n'
CONDA = """\
name: mlflow-env
channels: [conda-forge]
dependencies:
- python=3.11.7
- pip<=23.2.1
- pip:
  - mlflow==3.1.0  # the one it was logged with
  - -r more.txt
  - --extra-index-url https://x.test/simple
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def lines(requirements: Requirements) -> list[str]:
    return [each.text for each in requirements.wanted]


def test_a_pyproject_without_a_lock_gives_its_dependencies(tmp_path: Path) -> None:
    read = read_requirements(written(tmp_path, "pyproject.toml", PROJECT))
    assert lines(read) == ["lib>=2", "scipy"]
    assert read.python == ">=3.11"
    assert read.wanted[0].place == f"{tmp_path / 'pyproject.toml'}: $.project.dependencies[0]"


@pytest.mark.parametrize("name", ["pylock.toml", "pylock.prod.toml", "uv.lock"])
def test_another_state_of_a_lock_is_another_input(name: str, tmp_path: Path) -> None:
    written(tmp_path, "pyproject.toml", PROJECT)
    path = written(tmp_path, name, "one")
    before = read_requirements(path)
    assert before.lock == path
    assert before.wanted[0].line.startswith(f"{name} --hash=sha256:")
    path.write_text("two")
    assert read_requirements(path).wanted[0] != before.wanted[0]
    path.write_text("one")
    assert read_requirements(path) == before


@pytest.mark.parametrize(
    ("more", "own"),
    [
        ("", False),
        ("[build-system]", True),
        ("[tool.uv]\npackage = true", True),
        ("[build-system]\n[tool.uv]\npackage = false", False),
    ],
)
def test_a_project_that_is_a_package_is_required_itself(more: str, *, own: bool, tmp_path: Path) -> None:
    read = read_requirements(written(tmp_path, "pyproject.toml", PROJECT + more))
    assert [each.path for each in read.wanted if each.path] == [tmp_path] * own


def test_paths_that_uv_has_for_names_are_taken(tmp_path: Path) -> None:
    table = '[project]\ndependencies = ["lib[a]>=1; os_name == \'posix\'", "b"]\n[tool.uv.sources]\n'
    lib, _ = read_requirements(
        written(tmp_path, "pyproject.toml", table + "lib = { path = 'x', editable = true }")
    ).wanted
    assert (lib.path, lib.text) == (tmp_path / "x", 'lib @ x[a] ; os_name == "posix"')


def test_what_else_a_pyproject_says_is_no_input(tmp_path: Path) -> None:
    written(tmp_path, "uv.lock", "one")
    before = read_requirements(written(tmp_path, "pyproject.toml", PROJECT))
    assert read_requirements(written(tmp_path, "pyproject.toml", PROJECT + "[tool.ruff]\nline-length = 9\n")) == before


def test_the_pip_part_of_a_conda_environment_is_read(tmp_path: Path) -> None:
    written(tmp_path, "more.txt", "scikit-learn==1.9.1\n")
    read = read_requirements(written(tmp_path, "conda.yaml", CONDA))
    assert lines(read) == ["mlflow==3.1.0", "scikit-learn==1.9.1"]
    assert read.settings.indexes == ("https://x.test/simple",)
    assert read.python == "==3.11.7.*"
    assert read.wanted[0].place == f"{tmp_path / 'conda.yaml'}: $.dependencies[2].pip[0]"


def test_the_python_environment_of_mlflow_is_read(tmp_path: Path) -> None:
    written(tmp_path, "requirements.txt", "mlflow==3.1.0\n")
    text = "python: 3.10\nbuild_dependencies:\n- pip==23.2.1\n- setuptools\ndependencies:\n- -r requirements.txt\n"
    read = read_requirements(written(tmp_path, "python_env.yaml", text))
    assert (lines(read), read.python) == (["mlflow==3.1.0"], "==3.10.*")


@pytest.mark.parametrize(
    ("written_as", "fits"),
    [
        ("python=3.11.7", True),
        ("python 3.11.*", True),
        ("python ==3.11.2", True),
        ("python=3.11.4=h2755cc3_0", True),
        ("python 3.11.4 h2755cc3_0", True),
        ("conda-forge::python>=3.9,<3.13", True),
        ("python", True),
        ("python=3.1", False),
        ("python=3.10", False),
        ("python>=3.12", False),
    ],
)
def test_conda_says_which_python_it_is_for(written_as: str, *, fits: bool, python: ImagePython, tmp_path: Path) -> None:
    path = written(tmp_path, "environment.yml", f"dependencies: ['{written_as}']\n")
    assert suits(python.version, read_requirements(path).python) is fits


REFUSED: dict[str, tuple[str, str, type[TiffinError], str, str]] = {
    "a package that Debian has": (
        "conda.yaml",
        "dependencies: [libgomp=13]",
        UnsupportedError,
        r"dependencies\[0\]: libgomp is",
        'packages = ["libgomp1"]',
    ),
    "a package of another name": (
        "conda.yaml",
        "dependencies: [pip, pytorch=2.1.0=py3.11_cpu_0]",
        UnsupportedError,
        r"dependencies\[1\]: pytorch is a package of conda",
        "- torch==2.1.0",
    ),
    "a package that PyPI has too": (
        "environment.yml",
        "dependencies: ['conda-forge::numpy >=1.2']",
        UnsupportedError,
        "numpy is a package of conda",
        "`- numpy`",
    ),
    "what wheels bring": ("env.yaml", "dependencies: [cudatoolkit=11.8]", UnsupportedError, "cudatoolkit", "remove"),
    "an editable folder": (
        "conda.yaml",
        "dependencies: [{pip: [-e .]}]",
        UnsupportedError,
        r"pip\[0\]: '.' is editable",
        "wheel",
    ),
    "a number": ("conda.yaml", "dependencies: [[1]]", ConfigError, "not a package of conda", "name"),
    "a mapping in pip": ("conda.yaml", "dependencies: [{pip: [{a: b}]}]", ConfigError, "not a requirement", "name"),
    "no list": ("conda.yaml", "dependencies: numpy", ConfigError, "not a list", "documentation"),
    "no mapping": ("conda.yaml", "- numpy", ConfigError, "not an environment", "dependencies"),
    "no YAML": ("conda.yaml", "a: [", ConfigError, "cannot read", "YAML"),
    "a tag that makes objects": ("c.yaml", "dependencies: !!python/name:os.system", ConfigError, "not a list", ""),
    "deep nesting": ("conda.yaml", "[" * 100_000, ConfigError, "cannot read", "YAML"),
    "a huge file": ("conda.yaml", "#" * (5 << 20), ConfigError, "more than", "another"),
    "a strange Python": ("conda.yaml", "dependencies: ['python=x']", ConfigError, "not a version of Python", "3.11"),
    "poetry's lock": ("poetry.lock", "", UnsupportedError, "not read here", "poetry export"),
    "tiffin's lock": ("pylock.tiffin.toml", "", ConfigError, "what tiffin writes", "remove"),
    "no project": ("pyproject.toml", "[tool.poetry]", ConfigError, "has no \\[project\\]", "dependencies"),
    "dynamic dependencies": (
        "pyproject.toml",
        '[project]\ndynamic = ["dependencies"]',
        UnsupportedError,
        "dynamic",
        "uv lock",
    ),
    "sources of uv": (
        "pyproject.toml",
        PROJECT + "[tool.uv.sources]\nlib = { workspace = true }",
        UnsupportedError,
        "sources.lib has no path",
        "uv lock",
    ),
    "dependencies that are a table": ("pyproject.toml", "[project.dependencies]", ConfigError, "not a list", "621"),
    "a mistake among them": (
        "pyproject.toml",
        '[project]\ndependencies = ["a=1"]',
        ConfigError,
        r"dependencies\[0\]",
        "",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_with_its_place_and_a_way_out(name: str, tmp_path: Path) -> None:
    file, text, error, words, hint = REFUSED[name]
    path = written(tmp_path, file, text)
    with pytest.raises(error, match=words) as caught:
        read_requirements(path)
    assert type(caught.value) is error
    assert str(path) in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["pylock.toml", "pyproject.toml", "conda.yaml", "requirements.txt"])
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_requirements(tmp_path / name)


def test_init_proposes_what_lists_the_packages(tmp_path: Path) -> None:
    assert listed(tmp_path) == ""
    written(tmp_path, "pyproject.toml", "[tool.ruff]\nline-length = 9\n")
    assert listed(tmp_path) == ""
    written(tmp_path, "pyproject.toml", PROJECT)
    assert listed(tmp_path) == "pyproject.toml"
    written(tmp_path, "pyproject.toml", '[project]\nname = "mine"\n')
    assert listed(tmp_path) == ""
    written(tmp_path, "uv.lock", "")
    assert listed(tmp_path) == "pyproject.toml"
    written(tmp_path, "pylock.toml", "")
    assert listed(tmp_path) == "pylock.toml"
    written(tmp_path, "requirements.txt", "")
    assert listed(tmp_path) == "requirements.txt"
