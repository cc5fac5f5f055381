"""How replicas of any image run and are reached, and what of a service cannot be kept."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tiffin.deploy.local.edge.config import Ports
from tiffin.deploy.local.edge.hosts import addresses_of, check_host, routes_of
from tiffin.deploy.local.moving import moved_to, staying
from tiffin.deploy.local.names import INSIDE, write_hosts
from tiffin.deploy.local.others import PORT, upstream_of
from tiffin.deploy.local.replicas import MEETING, Place, options_of
from tiffin.deploy.local.seen import Desired
from tiffin.deploy.local.state import Kept
from tiffin.deploy.local.table import Upstream
from tiffin.deploy.service import Data, Probe, Service, Template
from tiffin.engine.spec import Network, Port, State, Status
from tiffin.errors import ConflictError, UnsupportedError
from tiffin.oci.digest import Digest

WEB = Template(
    image="web", digest=Digest.of(b"web"), ports={"http": 80, "port-443": 443}, inherits=False, probe=Probe()
)
replace = msgspec.structs.replace


LIFE = "of its life"


def place(folder: Path) -> Place:
    return Place(home="h", service="web", revision=3, token=LIFE, folder=folder / "web" / "3")


def kept(name: str = "web", host: str = "", **more: object) -> Kept:
    service = Service(name=name, template=WEB, host=host)
    made = Kept(service=service, desired=Desired(revision=1, replicas=1), port=4000, token=LIFE)
    return replace(made, **more)


def test_another_image_publishes_its_port_on_the_loopback_and_is_told_nothing_of_fronts(tmp_path: Path) -> None:
    options = options_of(WEB, place(tmp_path))
    assert options.publish == (Port(container_port=80),)
    assert (options.args, options.env, options.mounts, options.network) == ((), {}, (), Network.NONE)


def test_on_the_machines_network_it_is_told_a_port_and_finds_names(tmp_path: Path) -> None:
    hosts = write_hosts(tmp_path, {"web": "127.64.0.9"})
    options = options_of(replace(WEB, network="host"), place(tmp_path))
    assert options.env == {"PORT": options.labels[PORT]}
    assert options.publish == ()
    (mount,) = options.mounts
    assert (mount.source, mount.target, mount.read_only) == (str(hosts), INSIDE, True)


def test_a_model_has_its_meeting_place_and_the_network_that_is_said(tmp_path: Path) -> None:
    model = replace(WEB, inherits=True, network="user")
    options = options_of(model, place(tmp_path))
    assert ([mount.target for mount in options.mounts], options.network) == ([MEETING], Network.USER)
    assert (options.args, options.publish) == (("worker",), ())


def test_a_replica_is_reached_where_its_port_was_really_bound() -> None:
    running = State(status=Status.RUNNING, pid=7, ports=(Port(host_port=41000, container_port=80),))
    reached = Upstream(host="127.0.0.1", port=41000, pid=7, inner=80)
    assert upstream_of(WEB, {}, running, draining=False) == reached
    assert upstream_of(WEB, {}, running, draining=True) == replace(reached, draining=True)
    on_host = upstream_of(WEB, {PORT: "5000"}, replace(running, ports=()), draining=False)
    assert on_host == Upstream(host="127.0.0.1", port=5000, pid=7, inner=5000)
    assert upstream_of(WEB, {}, replace(running, ports=()), draining=False) is None
    assert upstream_of(WEB, {}, State(status=Status.EXITED), draining=False) is None


def test_a_move_is_a_revision_that_differs_in_its_engine_alone() -> None:
    service = Service(name="web", template=WEB)
    moved = moved_to(service, "docker", "embedded")
    assert moved == replace(WEB, engine="docker")
    there = replace(service, template=moved)
    assert moved_to(there, "embedded", "embedded") == WEB
    assert staying(service, there) == there
    with pytest.raises(ConflictError, match="docker runs web already"):
        moved_to(there, "docker", "embedded")
    rows = replace(service, template=replace(WEB, data=(Data(name="rows", path="/rows", source="rows"),)))
    with pytest.raises(UnsupportedError, match="volumes, which each engine has of its own: rows"):
        moved_to(rows, "docker", "embedded")


def test_a_host_is_for_one_service_of_a_machine_with_an_edge() -> None:
    service = Service(name="web", template=WEB, host="web.example.com")
    check_host(service, [kept(host="web.example.com")], has_edge=True)
    with pytest.raises(UnsupportedError, match="this machine has no edge"):
        check_host(service, [], has_edge=False)
    with pytest.raises(ConflictError, match="leads to other already"):
        check_host(service, [kept("other", "web.example.com")], has_edge=True)
    with pytest.raises(UnsupportedError, match=r"every name of \*\.example\.com"):
        check_host(replace(service, host="*.example.com"), [], has_edge=True)


def test_every_place_where_a_service_answers_is_told() -> None:
    named = kept(host="web.test", address="127.64.0.9", named_port=80)
    assert addresses_of(named, None) == ("127.0.0.1:4000", "127.64.0.9:80")
    assert addresses_of(named, Ports())[-1] == "https://web.test"
    assert addresses_of(named, Ports(https=8443))[-1] == "https://web.test:8443"
    heard = replace(named.service, template=replace(WEB, probe=Probe(ready="/")))
    assert addresses_of(replace(named, service=heard), None)[0] == "http://127.0.0.1:4000"


def test_the_edge_leads_to_who_has_a_host_and_is_not_going() -> None:
    going = kept("going", "b.test", desired=Desired(revision=1, replicas=1, gone=True))
    assert [route.host for route in routes_of([kept(), kept(host="a.test"), going])] == ["a.test"]
