"""tiffin.toml is read strictly, and every mistake has its place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tiffin.config.base import Base, parse_base, split_name
from tiffin.config.deploy import EnvironmentSection, RolloutSection
from tiffin.config.project import CheckSection, DataSection, Project
from tiffin.config.read import parse_project, read_project
from tiffin.config.write import Proposal, project_text
from tiffin.errors import ConfigError, NotFoundError

GOOD = 'name = "iris"\n[model]\npath = "model.joblib"\n'


def write(folder: Path, text: str) -> Path:
    (folder / "tiffin.toml").write_text(text)
    return folder


def test_the_smallest_file_is_a_name_and_a_model(tmp_path: Path) -> None:
    file, project = read_project(write(tmp_path, GOOD))
    assert file == tmp_path / "tiffin.toml"
    assert (project.name, project.model.path, project.python.version) == ("iris", "model.joblib", "3.11")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing required field `name`"),
        (GOOD + 'convert = "tflite"', "at `$.model.convert`"),
        (GOOD + 'convert = "onnx"\ntolerance = 2', "between 0 and 1 - at `$.model.tolerance`"),
        (GOOD + "tolerance = 0.1", "go with `convert` - at `$.model`"),
        (GOOD + 'samples = "rows.csv"', "go with `convert` - at `$.model`"),
        (
            'name = "iris"\n[model]\npredictor = "predict:Predictor"\nconvert = "onnx"',
            "no file to convert - at `$.model.convert`",
        ),
        ('name = "iris"', "give `path` or `predictor` - at `$.model`"),
        (GOOD + "pth = 1", "unknown field `pth` - at `$.model`"),
        (GOOD + "[serv]", "unknown field `serv`"),
        (GOOD + '[serve]\nmax-batch = "64"', "Expected `int`, got `str` - at `$.serve.max-batch`"),
        (GOOD + "[serve]\nmax-batch = 0", "at `$.serve.max-batch`"),
        (GOOD + "[serve]\ndrain-seconds = -1", "at `$.serve`"),
        (GOOD + '[serve]\ncors = ["https://a.b", "https://a.b/"]', "'https://a.b/' is no origin"),
        (GOOD + '[serve]\ncors = ["a.b"]', "at `$.serve.cors[0]`"),
        (GOOD + "[image]\npackages = [1]", "Expected `str`, got `int` - at `$.image.packages[0]`"),
        (GOOD + '[python]\nversion = "three"', "at `$.python.version`"),
        (GOOD + '[python]\nrequirements = "r.txt"\ndependencies = ["a"]', "not both - at `$.python`"),
        (GOOD + '[python]\nbuild = "p.tar.gz"', "`build` and its `sha256` go together - at `$.python`"),
        (GOOD + f'[python]\nsha256 = "{"0" * 64}"', "`build` and its `sha256` go together - at `$.python`"),
        (GOOD + '[python]\nbuild = "p.tar.gz"\nsha256 = "0"', "64 hex digits - at `$.python.sha256`"),
        (
            GOOD + f'[python]\nbuild = "p.tar.gz"\nsha256 = "{"0" * 64}"\n[image]\nbase = "python:3.12"',
            "at `$.image.base`",
        ),
        (GOOD + '[image]\nbase = "python:3.12"\npackages = ["x"]', "at `$.image.packages`"),
        ('name = "Iris!"\n[model]\npath = "m.pkl"', "at `$.name`"),
        ('name = "iris"\n[model]\npredictor = "predict"', "at `$.model.predictor`"),
        ("name = ]", "line 1"),
        (GOOD + '[[check]]\nexpect = "a.json"', "missing required field `request` - at `$.check[0]`"),
        (GOOD + '[[check]]\nrequest = "/a.json"', "a file below the project's folder - at `$.check[0].request`"),
        (GOOD + '[[check]]\nrequest = "a"\nexpect = "../b"', "at `$.check[0].expect`"),
        (GOOD + '[[check]]\nrequest = "a"\ntolerance = -1', "at `$.check[0].tolerance`"),
        (GOOD + '[[check]]\nrequest = "a"\ntolerance = nan', "at `$.check[0].tolerance`"),
        (GOOD + '[[check]]\nreqest = "a"', "unknown field `reqest` - at `$.check[0]`"),
        (GOOD + '[deploy]\ncpu = "lots"', "at `$.deploy.cpu`"),
        (GOOD + '[deploy]\nmemory = "1GB"', "at `$.deploy.memory`"),
        (GOOD + "[deploy]\nreplicas = -1", "at `$.deploy.replicas`"),
        (GOOD + "[deploy]\nreplicas = {min = 3, max = 2}", "`min` 3 is more than `max` 2 - at `$.deploy.replicas`"),
        (GOOD + "[deploy]\ntarget-concurrency = inf", "at `$.deploy.target-concurrency`"),
        (GOOD + '[deploy]\nenv = {"A=B" = "c"}', "'A=B' is no name of a variable - at `$.deploy.env`"),
        (GOOD + '[deploy]\nsecrets = {"a/b" = "c"}', "no name of a file in /run/secrets - at `$.deploy.secrets`"),
        (
            GOOD + '[deploy]\ndata = {rows = "./rows"}',
            "no [[data]] is called 'rows': there is none - at `$.deploy.data`",
        ),
        (GOOD + '[deploy]\nhost = "a b"', "no name of a host - at `$.deploy.host`"),
        (
            GOOD + "[deploy.rollout]\nmax-surge = 0",
            "both 0, so that nothing could ever be replaced - at `$.deploy.rollout`",
        ),
        (GOOD + "[deploy.rollout]\nprogress-seconds = inf", "at `$.deploy.rollout.progress-seconds`"),
        (GOOD + "[deploy.rollout]\nmin-ready-seconds = 700", "at `$.deploy.rollout.progress-seconds`"),
        (GOOD + '[environment.Prod]\ntarget = "local"', "an environment's name takes lower-case letters"),
        (GOOD + '[environment.prod]\ntarget = "moon"', "Invalid enum value 'moon' - at `$.environment.prod.target`"),
        (GOOD + '[environment.a]\n[environment.b]\ncpus = "1"', "unknown field `cpus` - at `$.environment.b`"),
        (GOOD + '[environment.b]\ncpu = "0"', "at `$.environment.b.cpu`"),
        (
            GOOD + '[environment.b]\nnamespace = "models"',
            'goes with target = "kubernetes" - at `$.environment.b.namespace`',
        ),
        (
            GOOD + '[environment.b]\ntarget = "kubernetes"\nnamespace = "My_Models"',
            "is no namespace: lower-case letters, digits and - - at `$.environment.b.namespace`",
        ),
        (GOOD + '[deploy]\npush = "iris"', "'iris' is no name in a registry: REGISTRY/NAME - at `$.deploy.push`"),
        (
            GOOD + '[environment.b]\npull-secrets = ["registry"]',
            'goes with target = "kubernetes" - at `$.environment.b.pull-secrets`',
        ),
        (
            GOOD + '[environment.b]\ntarget = "kubernetes"\npull-secrets = ["a/b"]',
            "'a/b' is no name of a Secret - at `$.environment.b.pull-secrets`",
        ),
        (
            GOOD + '[environment.b]\ntarget = "kubernetes"\nprometheus = { address = "prometheus:9090" }',
            "is no address: http://HOST:PORT - at `$.environment.b.prometheus.address`",
        ),
        (
            GOOD + '[environment.b]\ntarget = "kubernetes"\ngateway = "a/b/c"',
            "is no Gateway: [NAMESPACE/]NAME - at `$.environment.b.gateway`",
        ),
    ],
)
def test_a_mistake_is_told_with_file_and_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        read_project(write(tmp_path, text))
    assert str(tmp_path / "tiffin.toml") in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[serve]\nmax-bach = 3", "did you mean `max-batch`? [serve] may have workers, max-batch, "),
        ("[image]\nqqq = 3", "[image] may have base, packages, include, "),
        ("[deploy]\ncpus = 2", "did you mean `cpu`? [deploy] may have replicas, target-concurrency, cpu, "),
        ("[deploy.replicas]\nmost = 2", "[deploy.replicas] may have min, max"),
        ("[deploy.rollout]\nsurge = 2", "did you mean `max-surge`? [deploy.rollout] may have max-surge, "),
        ("[environment.b]\nkube-contxt = 'b'", "did you mean `kube-context`? [environment] may have target, "),
        ("[environment.b.rollout]\nqq = 1", "[environment.rollout] may have max-surge, "),
        ("[servo]", "did you mean `serve`? the file may have name, model, python, image, serve"),
    ],
)
def test_an_unknown_key_is_answered_with_the_keys_there_are(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_project(write(tmp_path, GOOD + text))
    assert str(caught.value.hint).startswith(hint)


@pytest.mark.parametrize(
    ("text", "kind", "where"),
    [
        ("debian:bookworm", "debian", "bookworm"),
        ("python:3.12-slim", "docker", "python:3.12-slim"),
        ("debian", "docker", "debian"),
        ("registry.test:5000/team/python@sha256:00", "docker", "registry.test:5000/team/python@sha256:00"),
        ("oci:layout:1", "oci", "layout:1"),
        ("oci-archive:/b.tar", "oci-archive", "/b.tar"),
        ("docker-archive:b.tar:team/b:1", "docker-archive", "b.tar:team/b:1"),
    ],
)
def test_a_base_is_read_in_skopeos_words(text: str, kind: str, where: str) -> None:
    assert parse_base(text) == Base(kind=kind, where=where)


@pytest.mark.parametrize(
    ("where", "split"), [("a/b", ("a/b", "")), ("a/b:1", ("a/b", "1")), ("b.tar:team/b:1", ("b.tar", "team/b:1"))]
)
def test_a_path_may_name_one_of_several_images(where: str, split: tuple[str, str]) -> None:
    assert split_name(where) == split


def test_a_folder_without_a_project_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"tiffin\.toml") as caught:
        read_project(tmp_path)
    assert "tiffin init" in str(caught.value.hint)
    with pytest.raises(NotFoundError, match="no folder"):
        read_project(tmp_path / "absent")


def test_pyproject_may_hold_the_same(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.tiffin]\nname = "iris"\n[tool.tiffin.model]\npath = "m.onnx"\n')
    assert read_project(tmp_path)[1].model.path == "m.onnx"


def test_what_init_writes_is_read_back() -> None:
    proposal = Proposal(
        name="iris",
        model="models/the model.joblib",
        format="sklearn-joblib",
        python="3.11",
        base="debian:bookworm",
        dependencies=["scikit-learn==1.9.1", 'odd"name'],
    )
    project = parse_project(tomllib.loads(project_text(proposal)), "here")
    assert (project.model.path, project.python.dependencies) == (proposal.model, tuple(proposal.dependencies))


def test_the_reference_page_is_valid_and_names_every_key() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "config.md").read_text()
    block = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert block
    parse_project(tomllib.loads(block[1]), "the page")
    named = {"data": DataSection, "check": CheckSection, "environment": EnvironmentSection}
    for section in Project.__struct_fields__[1:]:
        kind = named[section] if section in named else type(getattr(Project(name="x"), section))
        for key in kind.__struct_encode_fields__:
            said = rf"^(# )?{key} = |^\[\w+\.{key}\]"
            assert re.search(said, block[1], re.MULTILINE), f"{section}.{key} is not documented"
    for key in RolloutSection.__struct_encode_fields__:
        assert re.search(rf"^{key} = ", block[1], re.MULTILINE), f"rollout.{key} is not documented"


def test_a_file_that_only_says_how_a_service_is_kept_has_no_model(tmp_path: Path) -> None:
    (tmp_path / "tiffin.toml").write_text('name = "web"\n[deploy]\nport = 8080\nprobe = { ready = "/up" }\n')
    assert read_project(tmp_path, needs_model=False)[1].deploy.port == 8080
    with pytest.raises(ConfigError, match="give `path` or `predictor`"):
        read_project(tmp_path)
    (tmp_path / "tiffin.toml").write_text('name = "web"\n[deploy]\nprobe = { live = "up" }\n')
    with pytest.raises(ConfigError, match=r"no path of a URL: it begins with / - at `\$\.deploy\.probe\.live`"):
        read_project(tmp_path, needs_model=False)
