"""A service, before it runs anywhere."""

from __future__ import annotations

import msgspec

from tiffin.deploy.service import Resources, Template, revision_of
from tiffin.oci.digest import Digest

TEMPLATE = Template(image="registry.example/iris", digest=Digest.of(b"iris"), ports={"http": 8080})


def test_a_revision_is_what_its_replicas_are_made_of() -> None:
    alike = msgspec.json.decode(
        msgspec.json.encode(TEMPLATE, enc_hook=str), type=Template, dec_hook=lambda _, text: Digest.parse(text)
    )
    assert revision_of(alike) == revision_of(TEMPLATE)
    other = msgspec.structs.replace(TEMPLATE, resources=Resources(cpus=2))
    assert revision_of(other) != revision_of(TEMPLATE)


def test_the_order_of_variables_makes_no_revision() -> None:
    one = msgspec.structs.replace(TEMPLATE, env={"A": "1", "B": "2"})
    two = msgspec.structs.replace(TEMPLATE, env={"B": "2", "A": "1"})
    assert revision_of(one) == revision_of(two)


def test_every_puller_gets_the_same_image() -> None:
    assert TEMPLATE.reference == f"registry.example/iris@{Digest.of(b'iris')}"
