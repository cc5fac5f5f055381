"""What becomes of a Dockerfile: every instruction becomes a key, is built in, is given at the start, or is refused."""

from __future__ import annotations

import pytest

from tiffin.config.dockerfile import parse_dockerfile, substituted
from tiffin.config.replace import Replacement, replacement

ORIGIN = """\
FROM python:3.7
RUN pip install virtualenv
ENV VIRTUAL_ENV=/venv
RUN virtualenv venv -p python3
ENV PATH="$VIRTUAL_ENV/bin:$PATH"
WORKDIR /app
ADD . /app
RUN pip install -r requirements.txt
CMD ["python", "app.py"]
"""


def replaced(text: str, model: str = "model.joblib") -> Replacement:
    return replacement(substituted(parse_dockerfile(text, "Dockerfile")), ("3.11", "3.13"), model)


def after(*lines: str) -> Replacement:
    """What becomes of lines after a FROM that says nothing of interest."""
    return replaced("\n".join(["FROM debian:12", *lines]))


def test_the_one_from_the_products_origin_is_replaced_line_by_line() -> None:
    found = replaced(ORIGIN)
    assert [fate.line for fate in found.fates] == list(range(1, 10))
    assert [fate.instruction for fate in found.fates] == ORIGIN.splitlines()
    assert not any(fate.refused for fate in found.fates)
    assert (found.requirements, found.include, found.python) == ("requirements.txt", ("**/*.py",), "")


def test_a_python_older_than_the_servers_is_delegated_only_and_told_so() -> None:
    assert "only `tiffin build -f` keeps 3.7" in replaced("FROM python:3.7").fates[0].becomes
    assert "3.10 or newer" in replaced("FROM python:3.7").fates[0].becomes


@pytest.mark.parametrize("image", ["python:3.11", "python:3.11.4-slim-bookworm", "docker.io/library/python:3.11 AS x"])
def test_a_python_that_a_base_brings_is_kept(image: str) -> None:
    assert replaced(f"FROM {image}").python == "3.11"


def test_a_python_that_no_base_brings_is_the_models_own() -> None:
    found = replaced("FROM python:3.12")
    assert (found.python, found.fates[0].refused) == ("", False)
    assert "no base here brings that one" in found.fates[0].becomes


def test_packages_become_dependencies_but_tools_do_not() -> None:
    found = after("RUN pip3 install --no-cache-dir --upgrade pip && pip install 'scikit-learn>=1.5' pandas==2.0")
    assert found.dependencies == ("scikit-learn>=1.5", "pandas==2.0")


def test_an_index_is_left_to_pips_own_settings() -> None:
    found = after("RUN python -m pip install --index-url=http://a/ -i http://b/ numpy")
    assert (found.dependencies, found.fates[1].refused) == (("numpy",), False)


def test_debian_packages_are_kept_and_compilers_are_not() -> None:
    found = after(
        "RUN apt-get update && apt-get install -y --no-install-recommends gcc libgomp1=12.* libgl1 && \\",
        "    rm -rf /var/lib/apt/lists/*",
    )
    assert (found.packages, found.fates[1].refused) == (("libgomp1", "libgl1"), False)


def test_what_is_copied_is_model_code_or_the_locks() -> None:
    found = after("COPY requirements.txt model.joblib app.py ./src /app/", 'COPY ["my code.py", "/app/"]')
    assert found.include == ("app.py", "src/**/*", "my code.py")
    assert [fate.becomes for fate in found.fates[1:]] == [
        "nothing: the lock reads it; `[model] path`; `[image] include`",
        "`[image] include`",
    ]


def test_variables_of_the_user_are_given_at_the_start() -> None:
    (_, fate) = after('ENV PYTHONUNBUFFERED=1 THRESHOLD="0.5"').fates
    assert fate.becomes == "given at the start: `tiffin run -e THRESHOLD=…`"


@pytest.mark.parametrize(
    "line",
    [
        "RUN make install",
        "RUN curl -s http://a | sh",
        "RUN pip install $(cat x)",
        "RUN pip install $UNKNOWN",
        "RUN echo 'unfinished",
        "RUN pip install -r a.txt -r b.txt",
        "RUN pip install -r a.txt numpy",
        "RUN pip install .",
        "RUN pip install git+https://a/b",
        "ADD http://a/model.joblib /models/",
        "COPY --from=build /x /y",
        "FROM other",
        'SHELL ["/bin/bash", "-c"]',
        "ONBUILD RUN x",
    ],
)
def test_what_nothing_here_does_is_refused(line: str) -> None:
    (_, fate) = after(line).fates
    assert (fate.line, fate.instruction, fate.refused) == (2, line, True)


def test_an_unknown_base_is_refused() -> None:
    assert replaced("FROM nvidia/cuda:12.0").fates[0].refused
