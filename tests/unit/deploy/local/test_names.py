"""Services have addresses of their own, and a file says which."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tiffin.deploy.local.names import address_of, hosts_text, write_hosts


@given(st.lists(st.text("abcdefghijklmnop-", min_size=1, max_size=12), unique=True, max_size=60))
def test_every_service_has_an_address_of_its_own_on_the_loopback(names: list[str]) -> None:
    taken: dict[str, str] = {}
    for name in names:
        taken[name] = address_of(name, taken.values())
    assert len(set(taken.values())) == len(names)
    assert all(IPv4Address(address).is_loopback for address in taken.values())


def test_an_address_is_the_same_on_every_day_and_the_next_one_where_it_is_taken() -> None:
    first = address_of("iris")
    assert first == address_of("iris") == "127.88.121.32"
    assert address_of("iris", {first}) == "127.88.121.33"


def test_the_file_begins_as_the_machines_and_leads_to_every_service() -> None:
    text = hosts_text("127.0.0.1 localhost\n10.0.0.5 box\n", {"web": "127.65.0.1", "iris": "127.64.0.9"})
    assert text.splitlines() == [
        "127.0.0.1 localhost",
        "10.0.0.5 box",
        "# services of this machine, kept by tiffin",
        "127.64.0.9 iris",
        "127.65.0.1 web",
    ]
    assert hosts_text("", {}).startswith("127.0.0.1 localhost\n")


def test_it_is_written_in_place_for_those_who_have_mounted_it(tmp_path: Path) -> None:
    machine = tmp_path / "machine"
    path = write_hosts(tmp_path, {"iris": "127.64.0.9", "web": "127.65.0.1"}, machine)
    inode = path.stat().st_ino
    write_hosts(tmp_path, {"iris": "127.64.0.9"}, machine)
    assert path.stat().st_ino == inode
    assert path.read_text().splitlines()[-1] == "127.64.0.9 iris"
    before = path.stat().st_mtime_ns
    write_hosts(tmp_path, {"iris": "127.64.0.9"}, machine)
    assert path.stat().st_mtime_ns == before
    assert path.stat().st_mode & 0o777 == 0o644
