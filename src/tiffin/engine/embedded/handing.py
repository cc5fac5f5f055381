"""What a keeper is handed: descriptors, which have other numbers in another process. Pure, standard library only."""

from __future__ import annotations

TYPE_CHECKING = False  # see `stage`
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tiffin.engine.embedded.keeper import Plan


def handed(plan: Plan) -> list[int]:
    """What a keeper is handed beside its plan, in an order that `received` knows."""
    return [plan["lease"], plan["folder"], *plan["listeners"], *(descriptor for descriptor, _ in plan["secrets"])]


def received(plan: Plan, descriptors: Sequence[int]) -> Plan:
    """The plan with the numbers that what was handed has here, in the order of `handed`."""
    here = dict(zip(handed(plan), descriptors, strict=True))
    return {
        **plan,
        "lease": here[plan["lease"]],
        "folder": here[plan["folder"]],
        "listeners": [here[descriptor] for descriptor in plan["listeners"]],
        "secrets": [(here[descriptor], path) for descriptor, path in plan["secrets"]],
    }
