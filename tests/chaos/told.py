"""What came of a run, in a table and in sentences."""

from __future__ import annotations

from statistics import median

from chaos.run import Played, Told
from chaos.script import Kind

HEAD = "| what happened | times | requests meanwhile | failed | until it was as wanted, s | p99, ms | longest, ms |"


def summary(told: Told) -> str:
    """Say in a line how many requests there were, and what became of them."""
    account, unexplained = told.account, told.unexplained()
    in_fronts = account.failed - len(unexplained)
    return (
        f"seed {told.seed}: {account.sent:,} requests in {told.seconds:.0f} s, {account.answered:,} answered as "
        f"expected, {account.refused} refused, {len(told.deaths)} fronts killed with {in_fronts} requests in flight, "
        f"{len(unexplained)} failed otherwise; {told.given_up} rollouts given up and asked for again"
    )


def table(told: Told) -> str:
    """Write a row for each kind of moment."""
    rows = [_row(kind.value, told, [one for one in told.played if one.moment.kind is kind]) for kind in Kind]
    return "\n".join([HEAD, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |", *filter(None, rows)])


def _row(name: str, told: Told, played: list[Played]) -> str:
    if not played:
        return ""
    took = [request for one in played for request in told.times.between(one.began, one.ended)]
    failed = sum(one.began <= failure.ended <= one.ended for failure in told.account.failures for one in played)
    settled = [one.ended - one.began for one in played if one.settled]
    took.sort()
    cells = [
        name,
        str(len(played)),
        f"{len(took):,}",
        str(failed),
        f"{median(settled):.1f}" if settled else "-",
        f"{1000 * took[int(0.99 * len(took))]:.0f}" if took else "-",
        f"{1000 * took[-1]:.0f}" if took else "-",
    ]
    return f"| {' | '.join(cells)} |"
