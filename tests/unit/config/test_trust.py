"""Which rule of a policy is meant: the longest name decides, and names end where their parts end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.config.trust import Policy, read_policy, rule_of
from tiffin.errors import ConfigError

FILE = Path("/etc/somewhere/trust.toml")
POLICY = Policy(
    require="default.pub",
    repositories={
        "registry.example": "all.pub",
        "registry.example/team": ("team.pub", "/keys/lead.pub"),
        "registry.example/team/open": (),
        "iris": "iris.pub",
    },
)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("elsewhere.example/team", ["/etc/somewhere/default.pub"]),
        ("registry.example/other", ["/etc/somewhere/all.pub"]),
        ("registry.example/team", ["/etc/somewhere/team.pub", "/keys/lead.pub"]),
        ("registry.example/team/iris", ["/etc/somewhere/team.pub", "/keys/lead.pub"]),
        ("registry.example/team-b/iris", ["/etc/somewhere/all.pub"]),
        ("registry.example:5000/team", ["/etc/somewhere/default.pub"]),
        ("registry.example/team/open/iris", None),
        ("iris", ["/etc/somewhere/iris.pub"]),
        ("sha256:" + "0" * 64, ["/etc/somewhere/default.pub"]),
    ],
)
def test_the_longest_name_decides(name: str, keys: list[str] | None) -> None:
    rule = rule_of(POLICY, name, FILE)
    assert (rule and [str(key) for key in rule.keys]) == keys


def test_nothing_said_is_nothing_required() -> None:
    assert rule_of(Policy(), "iris", FILE) is None
    assert rule_of(Policy(require=("",)), "iris", FILE) is None


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "trust.toml"
    with pytest.raises(ConfigError, match=r"trust\.toml"):
        read_policy(file)
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"trust\.toml"):
        read_policy(file)
    file.write_text('[repositories]\n"a" = 7\n')
    with pytest.raises(ConfigError, match=r"\$\.repositories"):
        read_policy(file)
