"""The pipeline of GitLab CI: a job for merge requests, one that releases, and one for each environment. Pure.

No Docker in Docker and no privileged runner: tiffin builds without either. An image goes from job to job by its digest.
"""

from __future__ import annotations

from tiffin.release.ci.project import PYTHON, CiEnvironment, CiProject, checks, install, promotes, releases, signed

FILE = ".gitlab-ci.yml"
IMAGE = f"python:{PYTHON}-slim-bookworm"


def pipeline(project: CiProject) -> str:
    """Write the pipeline."""
    stages = ["check", "release", *(environment.job for environment in project.environments)]
    lines = [*_head(project, stages), *_check(project), *_release(project)]
    previous = "release"
    for environment in project.environments:
        lines += _deploy(project, environment, previous)
        previous = environment.job
    return signed(lines[:-1])


def _head(project: CiProject, stages: list[str]) -> list[str]:
    elsewhere = [
        f"# {name} is kept by a machine of yours: `tiffin release --to {name} IMAGE@sha256:…` there."
        for name in project.elsewhere
    ]
    return [
        *elsewhere,
        f"stages: [{', '.join(stages)}]",
        "",
        "workflow:",
        "  rules:",
        '    - if: $CI_PIPELINE_SOURCE == "merge_request_event"',
        f'    - if: $CI_COMMIT_BRANCH == "{project.branch}"',
        "    - if: $CI_COMMIT_TAG =~ /^v/",
        "",
        "default:",
        f"  image: {IMAGE}",
        "  timeout: 1 hour",
        "",
        "variables:",
        '  GIT_DEPTH: "1"',
        "",
    ]


def _check(project: CiProject) -> list[str]:
    return [
        "check:",
        "  stage: check",
        "  interruptible: true",
        "  rules:",
        '    - if: $CI_PIPELINE_SOURCE == "merge_request_event"',
        "  script:",
        *_script([install(project), checks(project)]),
        *_reports(),
        "",
    ]


def _release(project: CiProject) -> list[str]:
    key = ' --key "$TIFFIN_SIGNING_KEY"' if project.signs else ""
    command = releases(project) + key
    hint = ["# TIFFIN_SIGNING_KEY is a variable of type File, protected and hidden."] if project.signs else []
    dotenv = ["      dotenv: image.env"] if project.push else []
    return [
        *hint,
        "release:",
        "  stage: release",
        "  resource_group: release",
        *_rules(project),
        "  script:",
        *_script(
            [
                install(project),
                *_login(project),
                *([f"IMAGE=$({command})", 'echo "IMAGE=$IMAGE" > image.env'] if project.push else [command]),
            ]
        ),
        *_reports(*dotenv),
        "",
    ]


def _deploy(project: CiProject, environment: CiEnvironment, previous: str) -> list[str]:
    """The job of an environment: its KUBECONFIG is a variable of type File with that environment as its scope.

    A kubeconfig whose user is an exec plugin can hand on who the job is: its ID token is in KUBE_ID_TOKEN.
    """
    needs = dict.fromkeys(["release", previous])
    return [
        f"# KUBECONFIG is a variable of type File whose environment is {environment.name}.",
        *(
            [f"# It reads {previous.removeprefix('deploy-')}, too: that must be well before."]
            if previous != "release"
            else []
        ),
        f"{environment.job}:",
        f"  stage: {environment.job}",
        f"  resource_group: {environment.name}",
        "  environment:",
        f"    name: {environment.name}",
        "  needs:",
        *(f"    - {job}" for job in needs),
        *_rules(project, manual=environment.approval),
        "  id_tokens:",
        "    KUBE_ID_TOKEN:",
        f"      aud: tiffin-{environment.name}",
        "  script:",
        *_script(
            [
                install(project),
                *_login(project),
                *([] if project.folder == "." else [f"cd {project.folder}"]),
                promotes(environment),
            ]
        ),
        "",
    ]


def _rules(project: CiProject, *, manual: bool = False) -> list[str]:
    when = ["      when: manual"] if manual else []
    blocks = ["  allow_failure: false"] if manual else []
    return [
        *blocks,
        "  rules:",
        f'    - if: $CI_COMMIT_BRANCH == "{project.branch}"',
        *when,
        "    - if: $CI_COMMIT_TAG =~ /^v/",
        *when,
    ]


def _login(project: CiProject) -> list[str]:
    """GitLab's own registry takes the job's token; any other has a user and a password among the variables."""
    if not project.push:
        return []
    own = "gitlab" in project.registry
    host, prefix = ('"$CI_REGISTRY"', "CI_REGISTRY") if own else (project.registry, "REGISTRY")
    words = f'tiffin login {host} --username "${prefix}_USER" --password-stdin'
    return [f"printf '%s' \"${prefix}_PASSWORD\" | {words}"]


def _reports(*more: str) -> list[str]:
    return [
        "  artifacts:",
        "    when: always",
        "    expire_in: 30 days",
        "    paths: [scan.sarif]",
        "    reports:",
        "      junit: junit.xml",
        *more,
    ]


def _script(commands: list[str]) -> list[str]:
    """Commands as YAML takes them whole, whatever they hold."""
    return [line for command in commands for line in ("    - |-", f"      {command}")]
