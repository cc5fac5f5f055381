"""The verbs as a person types them, from a project's image in a registry to a service in a cluster."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from apiserver.controller import Controller
from apiserver.fates import READY, crashing, unpullable
from apiserver.kserve import KServe
from apiserver.served import DEPLOYMENTS, KINDS
from apiserver.server import ApiServer, Fault
from faulty_registry import FaultyRegistry, faulty_registry
from tiffin.api.images.push import push
from tiffin.api.images.trust import generate_key, sign
from tiffin.api.machine.home import Home
from tiffin.build.separate import separated
from tiffin.cli.verbs import cli
from tiffin.errors import TiffinError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import LAYER, Descriptor, History, ImageConfig, RootFS, RunConfig
from tiffin.oci.image import Image
from tiffin.oci.platform import Platform
from tiffin.store.layout import LayoutStore

PROJECT = """\
name = "iris"
[model]
path = "model.joblib"
[deploy]
replicas = 2
memory = "512Mi"
env = { LOG_LEVEL = "info" }
[environment.staging]
target = "kubernetes"
namespace = "staging"
replicas = 1
"""


@pytest.fixture
def folder(tmp_path: Path, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder to be in, a home, and a kubeconfig that leads to the server."""
    assert kubeconfig
    monkeypatch.setenv("TIFFIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TIFFIN_PROGRESS", "none")
    project = tmp_path / "project"
    project.mkdir()
    (project / "tiffin.toml").write_text(PROJECT)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with faulty_registry() as running:
        running.lists_referrers = True
        yield running


@pytest.fixture
def controller(server: ApiServer) -> Iterator[Controller]:
    with Controller(server).running() as running:
        yield running


def make(store: LayoutStore, name: str, mark: str = "", labels: dict[str, str] | None = None) -> Image:
    """The smallest image that is tiffin's: what it knows of itself, and labels; `mark` makes it another one."""
    text = json.dumps({"name": "iris", "serve": {"load_seconds": 60, "drain_seconds": 2, "grpc": False}, "mark": mark})
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo("opt/tiffin/service.json")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    packed = gzip.compress(data.getvalue(), mtime=0)
    layer = Descriptor.of(packed, LAYER)
    store.put(layer, io.BytesIO(packed))
    own = {"dev.tiffin.sockets": "http=8080,grpc=8081,metrics=8082", "dev.tiffin.version": "1"}
    here = Platform.here()
    config = ImageConfig(
        architecture=here.architecture,
        os=here.os,
        config=RunConfig(user="65532:65532", labels=own | (labels or {})),
        rootfs=RootFS(diff_ids=[Digest.of(data.getvalue())]),
        history=[History(created_by="tiffin", comment="metadata")],
    )
    image = Image.make(config, [layer], {})
    image.write(store)
    store.tag(f"{name}:latest", image.descriptor)
    return image


@pytest.fixture
def iris(folder: Path, registry: FaultyRegistry) -> str:
    """The name of an image in a registry, which is not here."""
    assert folder
    return pushed(registry)


def pushed(registry: FaultyRegistry, mark: str = "") -> str:
    store = Home.of().store
    make(store, "local", mark)
    push("local", f"{registry.host}/team/iris:1")
    store.untag("local:latest")
    return f"{registry.host}/team/iris:1"


def tiffin(*words: str) -> str:
    """Run a command and return what it prints; its error is raised."""
    result: Result = CliRunner().invoke(cli, words, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.stdout


def refused(*words: str) -> TiffinError:
    with pytest.raises(TiffinError) as caught:
        tiffin(*words)
    assert caught.value.hint
    return caught.value


def test_an_image_of_a_registry_becomes_a_service_and_goes_again(iris: str, controller: Controller) -> None:
    assert controller
    assert tiffin("deploy", iris, "--to", "kubernetes") == "http://iris.default.svc\n"
    told = tiffin("status", "iris")
    assert told.startswith("iris: available, 2 of 2 replicas ready, http://iris.default.svc\n")
    [row] = json.loads(tiffin("status", "--json"))
    assert (row["name"], row["phase"], row["ready"]) == ("iris", "available", "2/2")
    assert "/team/iris@sha256:" in tiffin("history", "iris")
    assert tiffin("delete", "iris") == "iris\n"
    assert "no service iris" in refused("status", "iris", "--to", "kubernetes").message


def test_the_image_is_named_by_digest_and_what_tiffin_toml_says_counts(
    iris: str, server: ApiServer, controller: Controller
) -> None:
    assert controller
    tiffin("deploy", iris, "--to", "kubernetes", "-e", "MORE=1")
    [deployment] = server.store.of(DEPLOYMENTS)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert Digest.parse(container["image"].partition("@")[2])
    assert container["resources"]["limits"]["memory"] == "512Mi"
    assert {"LOG_LEVEL": "info", "MORE": "1"}.items() <= {one["name"]: one["value"] for one in container["env"]}.items()
    assert [port["name"] for port in container["ports"]] == ["http", "metrics"]


def test_an_environment_overrides_and_is_remembered(iris: str, server: ApiServer, controller: Controller) -> None:
    assert controller
    tiffin("deploy", iris, "--environment", "staging")
    [deployment] = server.store.of(DEPLOYMENTS)
    assert deployment["metadata"]["namespace"] == "staging", "which is made"
    assert deployment["spec"]["replicas"] == 1
    assert tiffin("status", "iris").startswith("iris: available, 1 of 1 replicas ready, http://iris.staging.svc")
    assert "no environment 'prod'" in refused("deploy", iris, "--environment", "prod").message
    tiffin("deploy", iris, "--to", "kubernetes")
    assert "it is in several places" in refused("status", "iris").message


def test_an_image_without_a_registry_is_sent_to_push(folder: Path) -> None:
    assert folder
    make(Home.of().store, "iris")
    error = refused("deploy", "iris", "--to", "kubernetes")
    assert "only on this machine" in error.message
    assert "--push REGISTRY/iris" in str(error.hint)


def test_an_image_of_this_machine_is_pushed_where_it_is_said_and_deployed_by_digest(
    folder: Path, registry: FaultyRegistry, server: ApiServer, controller: Controller
) -> None:
    assert controller
    name, image = f"{registry.host}/team/new", make(Home.of().store, "iris")
    tiffin("deploy", "iris", "--to", "kubernetes", "--push", name, "--plan")
    refused("deploy", f"{name}:{image.descriptor.digest.short}", "--to", "kubernetes")  # a plan pushes nothing
    tiffin("deploy", "iris", "--to", "kubernetes", "--push", name)
    [deployment] = server.store.of(DEPLOYMENTS)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{name}@{image.descriptor.digest}"
    assert tiffin("tags", name).split() == [image.descriptor.digest.short]
    (folder / "tiffin.toml").write_text(PROJECT.replace("replicas = 2", f'replicas = 2\npush = "{name}:stable"'))
    tiffin("deploy", "iris", "--to", "kubernetes")
    assert "stable" in tiffin("tags", name)
    assert "--push" in refused("deploy", "iris", "--to", "local", "--push", name).message
    assert "no name to push to" in refused("deploy", "iris", "--to", "kubernetes", "--push", "iris").message


def test_weights_that_are_separate_are_pushed_and_named_to_newer_clusters(
    folder: Path, registry: FaultyRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder
    monkeypatch.setattr("tiffin.deploy.kubernetes.manifests.volumes.SMALL", 1000)
    name, store = f"{registry.host}/team/heavy", Home.of().store
    image = with_weights(store, make(store, "plain", labels={"dev.tiffin.weights": "separate"}), b"weights" * 1000)
    store.tag("heavy:latest", image.descriptor)
    apart = separated(image)
    assert apart
    tiffin("push", "heavy", f"{name}:1")
    tags = tiffin("tags", name).split()
    assert sorted(tags) == sorted(
        ["1", f"weights-{apart.weights.descriptor.digest.short}", f"rest-{apart.rest.descriptor.digest.short}"]
    )

    def pod(version: str) -> dict[str, Any]:
        objects = yaml.safe_load_all(tiffin("deploy", f"{name}:1", "--render", "--k8s-version", version))
        [spec] = [one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Deployment"]
        return spec  # type: ignore[no-any-return]

    new, old = pod("1.36"), pod("1.34")
    assert new["containers"][0]["image"] == f"{name}@{apart.rest.descriptor.digest}"
    [volume] = [one for one in new["volumes"] if "image" in one]
    assert volume["image"]["reference"] == f"{name}@{apart.weights.descriptor.digest}"
    assert old["containers"][0]["image"] == f"{name}@{image.descriptor.digest}"
    assert not [one for one in old["volumes"] if "image" in one]


def with_weights(store: LayoutStore, image: Image, data: bytes) -> Image:
    """The image with a layer of weights below what it says of itself."""
    layer = Descriptor.of(data, LAYER)
    store.put(layer, io.BytesIO(data))
    config = msgspec.structs.replace(
        image.config,
        rootfs=RootFS(diff_ids=[Digest.of(data), *image.config.rootfs.diff_ids]),
        history=[History(created_by="tiffin", comment="weights"), *image.config.history],
    )
    made = Image.make(config, [layer, *image.manifest.layers], {})
    made.write(store)
    return made


def test_an_image_that_was_not_pushed_is_told_before_anything_is_asked(
    folder: Path, registry: FaultyRegistry, server: ApiServer
) -> None:
    assert folder
    name = f"{registry.host}/team/other"
    make(Home.of().store, name)
    assert f"tiffin push {name}:latest" in str(refused("deploy", name, "--to", "kubernetes").hint)
    assert not server.asked


def test_what_must_be_signed_is_not_deployed_unsigned(iris: str, folder: Path, controller: Controller) -> None:
    assert controller
    generate_key(str(folder / "team"), b"")
    (folder / "tiffin.toml").write_text(PROJECT + '[trust]\nrequire = "team.pub"\n')
    assert "is not signed with" in refused("deploy", iris, "--to", "kubernetes").message
    sign(iris, folder / "team.key", lambda: b"")
    assert tiffin("deploy", iris, "--to", "kubernetes")


def test_rendering_asks_no_cluster(iris: str, server: ApiServer, tmp_path: Path) -> None:
    objects = list(yaml.safe_load_all(tiffin("deploy", iris, "--render")))
    assert {one["kind"] for one in objects} >= {"Deployment", "Service", "ServiceAccount", "NetworkPolicy"}
    written = tiffin("deploy", iris, "--render", str(tmp_path / "base"), "--k8s-version", "1.33").split()
    assert str(tmp_path / "base" / "kustomization.yaml") in written
    assert all(Path(file).is_file() for file in written)
    assert not server.asked
    assert "not a version of Kubernetes" in refused("deploy", iris, "--render", "--k8s-version", "new").message


def test_a_host_needs_a_gateway_which_may_be_named(iris: str, folder: Path) -> None:
    (folder / "tiffin.toml").write_text(PROJECT.replace("replicas = 2", 'replicas = 2\nhost = "iris.example"'))
    assert "Gateway" in refused("deploy", iris, "--render").message
    objects = list(yaml.safe_load_all(tiffin("deploy", iris, "--render", "--gateway", "edge/public")))
    [route] = [one for one in objects if one["kind"] == "HTTPRoute"]
    assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "edge"}]


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    assert folder
    assert "no folder ./absent" in refused("deploy", "./absent", "--to", "kubernetes").message


def test_a_plan_asks_the_cluster_where_it_answers_and_is_whole_where_it_does_not(
    iris: str, server: ApiServer, controller: Controller
) -> None:
    assert controller
    tiffin("deploy", iris, "--to", "kubernetes")
    told = tiffin("deploy", iris, "--to", "kubernetes", "--replicas", "3", "--plan")
    assert "spec.replicas: 2 -> 3" in told
    assert "\nchange  Deployment/iris" in told
    asked = len(server.asked)
    offline = json.loads(tiffin("deploy", iris, "--to", "kubernetes", "--plan", "--k8s-version", "1.35", "--json"))
    assert {change["action"] for change in offline["changes"]} == {"create"}
    assert len(server.asked) == asked
    assert offline["service"]["replicas"]["least"] == 2


def test_an_image_that_nobody_can_pull_is_told_in_the_registrys_words(iris: str, controller: Controller) -> None:
    controller.fates["team/iris"] = unpullable("iris", "manifest unknown")
    error = refused("deploy", iris, "--to", "kubernetes", "--timeout", "1")
    assert error.exit_status == 10
    assert "0 of 2 replicas are ready" in error.message
    assert "manifest unknown" in error.message
    assert "tiffin push" in str(error.hint)
    assert "manifest unknown" in tiffin("status", "iris")
    assert json.loads(tiffin("status", "iris", "--json"))["phase"] == "failed"


def test_a_crash_is_told_with_its_log_and_the_next_deploy_mends_it(
    iris: str, registry: FaultyRegistry, controller: Controller
) -> None:
    controller.fates["team/iris"] = crashing("ValueError: no model")
    error = refused("deploy", iris, "--to", "kubernetes", "--timeout", "1")
    assert "ValueError: no model" in error.message
    controller.fates["team/iris"] = READY
    assert tiffin("deploy", pushed(registry, "mended"), "--to", "kubernetes")


def test_a_server_that_goes_away_in_the_middle_is_told_and_the_same_command_goes_on(
    iris: str, server: ApiServer, controller: Controller
) -> None:
    assert controller
    server.faults["deployments/iris?"] = [Fault(status=418, body=b"a proxy is in the way")] * 99
    error = refused("deploy", iris, "--to", "kubernetes")
    assert "objects were applied" in error.message
    server.faults.clear()
    assert tiffin("deploy", iris, "--to", "kubernetes") == "http://iris.default.svc\n"


def test_scale_history_rollback_pause_and_restart(iris: str, registry: FaultyRegistry, controller: Controller) -> None:
    assert controller
    tiffin("deploy", iris, "--to", "kubernetes")
    assert tiffin("scale", "iris", "3") == "iris\n"
    assert "not a number of replicas" in refused("scale", "iris", "many").message
    tiffin("deploy", pushed(registry, "second"), "--to", "kubernetes", "--replicas", "3")
    numbers = [row["number"] for row in json.loads(tiffin("history", "iris", "--json"))]
    assert numbers == [2, 1]
    assert tiffin("rollback", "iris").startswith("iris: available, 3 of 3 replicas ready")
    assert "no revision 7" in refused("rollback", "iris", "7").message
    assert tiffin("pause", "iris") == "iris\n"
    assert json.loads(tiffin("status", "iris", "--json"))["phase"] == "paused"
    assert tiffin("resume", "iris") == "iris\n"
    assert tiffin("restart", "iris") == "iris\n"
    controller.fates["team/iris"] = replace(READY, log=("it has begun",))
    tiffin("restart", "iris")
    assert "  it has begun\n" in tiffin("logs", "iris", "--tail", "5")
    assert "TIME" in tiffin("status", "iris", "--explain")


def test_a_canary_is_promoted(iris: str, registry: FaultyRegistry, controller: Controller) -> None:
    assert controller
    tiffin("deploy", iris, "--to", "kubernetes", "--replicas", "9")
    tiffin("deploy", pushed(registry, "second"), "--to", "kubernetes", "--replicas", "9", "--canary", "10")
    weights = {row["weight"] for row in json.loads(tiffin("history", "iris", "--json"))}
    assert weights == {10.0, 90.0}
    assert tiffin("promote", "iris").startswith("iris: available, 9 of 9 replicas ready")


def test_data_that_the_image_needs_must_be_given(folder: Path, registry: FaultyRegistry) -> None:
    assert folder
    name = f"{registry.host}/team/iris"
    make(Home.of().store, name, labels={"dev.tiffin.data": '[{"name":"features","path":"/data"}]'})
    error = refused("deploy", name, "--render")
    assert "needs data that nobody gives it: features in /data" in error.message
    assert "[deploy] data" in str(error.hint)


def test_options_that_do_not_go_together_are_told(folder: Path) -> None:
    assert folder
    assert "--context" in refused("status", "iris", "--to", "local", "--namespace", "a").message
    with pytest.raises(Exception, match="--k8s-version goes with"):
        tiffin("deploy", "iris", "--k8s-version", "1.36")


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "deploying.md"


def commands(block: str) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it prints at least."""
    found: list[tuple[str, list[str]]] = []
    for line in block.strip().splitlines():
        if line.startswith("$ tiffin "):
            found.append((line.removeprefix("$ tiffin "), []))
        else:
            found[-1][1].append(line)
    return found


@pytest.mark.parametrize("block", re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL))
def test_every_example_of_the_page_can_be_typed(block: str, iris: str, controller: Controller) -> None:
    assert controller
    for command, printed in commands(block):
        told = tiffin(*command.replace("registry.example/team/iris:1", iris).split())
        assert all(line in told for line in printed), (command, told)


def test_a_program_and_files_reach_a_replica_by_the_services_name(
    iris: str, controller: Controller, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert controller
    tiffin("deploy", iris, "--to", "kubernetes")
    (folder / "here").write_text("here")
    assert tiffin_ends("exec", "iris", "--", "sh", "-c", "echo hi; exit 5") == 5
    assert capfd.readouterr().out == "hi\n"
    tiffin("cp", "here", f"iris:{folder}/there")
    tiffin("cp", f"iris:{folder}/there", "back")
    assert (folder / "back").read_text() == "here"


def tiffin_ends(*typed: str) -> int:
    """The exit status of a verb that is the program's own."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(typed), prog_name="tiffin", standalone_mode=False)
    return int(str(ended.value.code))


SURROUNDED = """\
name = "iris"
[model]
path = "model.joblib"
[environment.production]
target = "kubernetes"
pull-secrets = ["registry"]
gateway = "edge/public"
prometheus = { address = "http://prometheus.watch:9090", namespace = "watch", labels = { release = "main" } }
"""


def test_what_tiffin_toml_says_of_a_cluster_holds_when_its_service_is_scaled(
    iris: str, server: ApiServer, controller: Controller, folder: Path
) -> None:
    assert controller
    (folder / "tiffin.toml").write_text(SURROUNDED)
    tiffin("deploy", iris, "--environment", "production")

    def pulls() -> list[object]:
        [account] = [one for one in server.store.of(SERVICE_ACCOUNTS) if one["metadata"]["name"] == "iris"]
        return account.get("imagePullSecrets", [])  # type: ignore[no-any-return]

    assert pulls() == [{"name": "registry"}]
    tiffin("scale", "iris", "3")
    assert pulls() == [{"name": "registry"}]
    (folder / "tiffin.toml").write_text(PROJECT)
    tiffin("deploy", iris, "--to", "kubernetes")
    assert pulls() == []


def test_offline_it_is_said_what_the_cluster_has(iris: str, folder: Path) -> None:
    (folder / "tiffin.toml").write_text(SURROUNDED)
    words = ("deploy", iris, "--environment", "production", "--replicas", "1-4", "--render")
    plain = list(yaml.safe_load_all(tiffin(*words)))
    assert "HorizontalPodAutoscaler" in {one["kind"] for one in plain}
    made = {one["kind"]: one for one in yaml.safe_load_all(tiffin(*words, "--with", "keda, prometheus-operator"))}
    assert made["ScaledObject"]["spec"]["triggers"][0]["metadata"]["serverAddress"] == "http://prometheus.watch:9090"
    assert made["ScaledObject"]["spec"]["cooldownPeriod"] == 60
    assert made["ServiceMonitor"]["metadata"]["labels"]["release"] == "main"
    assert "HorizontalPodAutoscaler" not in made
    served = {one["kind"] for one in yaml.safe_load_all(tiffin(*words, "--kserve"))}
    assert served == {"ServiceAccount", "InferenceService"}
    assert "known are: custom-metrics, gateway-api" in str(refused(*words, "--with", "linkerd").hint)
    assert "--kserve" in refused("deploy", iris, "--to", "local", "--kserve").message


SERVICE_ACCOUNTS = next(kind for kind in KINDS if kind.kind == "ServiceAccount")


def test_an_environment_says_which_gateway_leads_to_its_host_and_whether_kserve_keeps_it(
    iris: str, folder: Path, server: ApiServer, controller: Controller
) -> None:
    assert controller
    (folder / "tiffin.toml").write_text(SURROUNDED + 'host = "iris.example"\n')
    objects = yaml.safe_load_all(tiffin("deploy", iris, "--environment", "production", "--render"))
    [route] = [one for one in objects if one["kind"] == "HTTPRoute"]
    assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "edge"}]
    (folder / "tiffin.toml").write_text(SURROUNDED + "kserve = true\n")
    assert "KServe is not installed" in refused("deploy", iris, "--environment", "production").message
    with KServe(server).running():
        tiffin("deploy", iris, "--environment", "production")
        assert tiffin("status", "iris").startswith(
            "iris: available, 1 of 1 replicas ready, http://iris-default.example"
        )
        assert tiffin("logs", "iris") == ""
        assert "all requests or none" in refused("deploy", iris, "--canary", "10").message
        assert tiffin("delete", "iris") == "iris\n"
