"""The workflow of GitHub Actions: a job for pull requests, one that releases, and one for each environment. Pure.

No permission is given to all jobs, every action is pinned by commit, no expression is in a script, and the token of a
checkout is not kept. The cache is the registry: layers that are there are neither made known nor sent again.
"""

from __future__ import annotations

from tiffin.release.ci.project import PYTHON, CiEnvironment, CiProject, checks, install, promotes, releases, signed

FILE = ".github/workflows/tiffin.yml"
ACTIONS = {
    "actions/checkout": ("de0fac2e4500dabe0009e67214ff5f5447ce83dd", "v6.0.2"),
    "actions/setup-python": ("a309ff8b426b58ec0e2a45f0f869d46889d02405", "v6.2.0"),
    "actions/upload-artifact": ("043fb46d1a93c77aae656e7c1c64a875d1fc6a0a", "v7.0.1"),
    "actions/attest": ("1e69f48acb82d1966a394da916b4c1698aa569d6", "v4.2.2"),
}
"""Each action's commit, and the version that it is."""
RUNNER = "ubuntu-24.04"
_GITHUB = "ghcr.io"


def workflow(project: CiProject) -> str:
    """Write the workflow."""
    lines = [*_head(project), "jobs:", *_check(project), *_release(project)]
    previous = "release"
    for environment in project.environments:
        lines += _deploy(project, environment, previous)
        previous = environment.job
    return signed(lines[:-1])


def _head(project: CiProject) -> list[str]:
    elsewhere = [
        f"# {name} is kept by a machine of yours: `tiffin release --to {name} IMAGE@sha256:…` there."
        for name in project.elsewhere
    ]
    return [
        *elsewhere,
        "name: Release",
        "",
        "on:",
        "  pull_request:",
        "  push:",
        f"    branches: [{project.branch}]",
        '    tags: ["v*"]',
        "",
        "permissions: {}",
        "",
        "concurrency:",
        "  group: ${{ github.workflow }}-${{ github.ref }}",
        "  cancel-in-progress: ${{ github.event_name == 'pull_request' }}",
        "",
    ]


def _check(project: CiProject) -> list[str]:
    return [
        "  check:",
        "    name: Build, test and scan",
        "    if: github.event_name == 'pull_request'",
        *_job("contents: read # to check out"),
        "    steps:",
        *_prepare(project),
        *_containers(),
        *_run("Build, test and scan", [checks(project)]),
        *_reports("check"),
        "",
    ]


def _release(project: CiProject) -> list[str]:
    """The job that has the right to push; what it signs with lies in the environment `release`."""
    permissions = ["contents: read # to check out"]
    if project.registry == _GITHUB:
        permissions.append("packages: write # to push the image")
    if project.push:
        permissions += [
            "id-token: write # to say who built it (OIDC)",
            "attestations: write # to keep what GitHub attests",
            "artifact-metadata: write # to list the image as an artifact",
        ]
    outputs = ["    outputs:", "      image: ${{ steps.release.outputs.image }}"] if project.push else []
    return [
        "  release:",
        "    name: Release",
        "    if: github.event_name == 'push'",
        *_job(*permissions),
        "    environment: release",
        *outputs,
        "    steps:",
        *_prepare(project),
        *_containers(),
        *_login(project),
        *_release_step(project),
        *_attest(project),
        *_reports("release"),
        "",
    ]


def _release_step(project: CiProject) -> list[str]:
    command, environment = releases(project), []
    script = []
    if project.signs:
        environment = [
            "          TIFFIN_SIGNING_KEY: ${{ secrets.TIFFIN_SIGNING_KEY }}",
            "          TIFFIN_KEY_PASSPHRASE: ${{ secrets.TIFFIN_KEY_PASSPHRASE }}",
        ]
        script = ['(umask 077 && printf \'%s\\n\' "$TIFFIN_SIGNING_KEY" > "$RUNNER_TEMP/release.key")']
        command += ' --key "$RUNNER_TEMP/release.key"'
    if project.push:
        script += [
            f"image=$({command})",
            "{",
            '  echo "image=$image"',
            '  echo "name=${image%@*}"',
            '  echo "digest=${image#*@}"',
            '} >> "$GITHUB_OUTPUT"',
        ]
    else:
        script.append(command)
    return _run("Release", script, identity="release", environment=environment)


def _attest(project: CiProject) -> list[str]:
    """GitHub's own word on who built the image, beside tiffin's; of private repositories only some plans have it."""
    if not project.push:
        return []
    return [
        "      - name: Attest who built it",
        "        if: github.event.repository.visibility == 'public'",
        _uses("actions/attest"),
        "        with:",
        "          subject-name: ${{ steps.release.outputs.name }}",
        "          subject-digest: ${{ steps.release.outputs.digest }}",
        "          push-to-registry: true",
    ]


def _deploy(project: CiProject, environment: CiEnvironment, previous: str) -> list[str]:
    """The job of an environment; reviewers are asked for in the settings of GitHub's environment of that name."""
    needs = f"[release, {previous}]" if previous != "release" else "[release]"
    permissions = ["contents: read # to read tiffin.toml", "id-token: write # to say who deploys (OIDC)"]
    if project.registry == _GITHUB:
        permissions.append("packages: read # to read the image")
    script = [
        '(umask 077 && printf \'%s\\n\' "$KUBECONFIG_TEXT" > "$RUNNER_TEMP/kubeconfig")',
        'export KUBECONFIG="$RUNNER_TEMP/kubeconfig"',
        *([] if project.folder == "." else [f"cd {project.folder}"]),
        promotes(environment),
    ]
    lines = [
        "          IMAGE: ${{ needs.release.outputs.image }}",
        "          KUBECONFIG_TEXT: ${{ secrets.KUBECONFIG }}",
    ]
    asks = [
        f"    # The KUBECONFIG of {environment.name} reads {previous.removeprefix('deploy-')}, too: it must be well."
    ]
    return [
        *(asks if previous != "release" else []),
        f"  {environment.job}:",
        f"    name: Deploy to {environment.name}",
        f"    needs: {needs}",
        *_job(*permissions),
        f"    environment: {environment.name}",
        "    concurrency: # one deploy at a time, whatever branch or tag it is of",
        f"      group: {environment.job}",
        "      cancel-in-progress: false",
        "    steps:",
        *_prepare(project),
        *_login(project),
        *_run(f"Deploy to {environment.name}", script, environment=lines),
        "",
    ]


def _job(*permissions: str) -> list[str]:
    return [
        f"    runs-on: {RUNNER}",
        "    timeout-minutes: 60",
        "    permissions:",
        *(f"      {permission}" for permission in permissions),
    ]


def _prepare(project: CiProject) -> list[str]:
    """Check out without keeping the token, and bring tiffin."""
    return [
        "      - name: Check out",
        _uses("actions/checkout"),
        "        with:",
        "          persist-credentials: false",
        "      - name: Set up Python",
        _uses("actions/setup-python"),
        "        with:",
        f'          python-version: "{PYTHON}"',
        *_run("Install tiffin", [install(project)]),
    ]


def _containers() -> list[str]:
    """Let the runner's Ubuntu have containers without root, which it forbids by default since 24.04."""
    setting = "kernel.apparmor_restrict_unprivileged_userns"
    script = f"if [ -e /proc/sys/{setting.replace('.', '/')} ]; then sudo sysctl --write {setting}=0; fi"
    return _run("Allow containers without root", [script])


def _login(project: CiProject) -> list[str]:
    """GitHub's registry takes the job's own token; any other has a user and a password among the secrets."""
    if not project.push:
        return []
    is_own = project.registry == _GITHUB
    user = "github.actor" if is_own else "secrets.REGISTRY_USER"
    password = "github.token" if is_own else "secrets.REGISTRY_PASSWORD"
    environment = [
        f"          REGISTRY_USER: ${{{{ {user} }}}}",
        f"          REGISTRY_PASSWORD: ${{{{ {password} }}}}",
    ]
    pipe = (
        "printf '%s' \"$REGISTRY_PASSWORD\" | "
        f'tiffin login {project.registry} --username "$REGISTRY_USER" --password-stdin'
    )
    return _run("Log in to the registry", [pipe], environment=environment)


def _reports(name: str) -> list[str]:
    return [
        "      - name: Keep the reports",
        "        if: always()",
        _uses("actions/upload-artifact"),
        "        with:",
        f"          name: {name}-reports",
        "          path: |",
        "            junit.xml",
        "            scan.sarif",
        "          if-no-files-found: ignore",
    ]


def _run(name: str, script: list[str], identity: str = "", environment: list[str] | None = None) -> list[str]:
    """A step that runs a script; one line is written on its line."""
    head = [f"      - name: {name}", *([f"        id: {identity}"] if identity else [])]
    variables = ["        env:", *environment] if environment else []
    if len(script) == 1:
        return [*head, *variables, f"        run: {script[0]}"]
    return [*head, *variables, "        run: |", *(f"          {line}" for line in script)]


def _uses(action: str) -> str:
    commit, version = ACTIONS[action]
    return f"        uses: {action}@{commit} # {version}"
