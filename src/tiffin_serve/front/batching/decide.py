"""What to do with calls that wait, as functions of numbers: how many leave, whether waiting pays, what comes too late.

With `fixed + each * n` seconds for a batch of n rows (`Cost`):

* Where k more calls are expected within w seconds, waiting for them delays n calls by w and saves each of the k the
  rest of the batch that would else have left before it: it pays while `n * w < k * (fixed - w - each * n)`. How many
  are expected is what was seen to follow answers (`Echo`): clients that ask again as soon as they have one. Without
  that they stay two groups for ever, each waiting for the other's batch. One client alone has nobody to wait for.
* Where those who are expected are seen to come sooner than another batch would cost, waiting for them pays too: two
  groups take two batches a round, one group takes a wait and a batch. It halves what front and worker compute for
  batches as such, which for a cheap model is most of what they compute.
* A call that finds others before it leaves after them; when their cost and its own exceed its patience it is refused
  now, while the client can still go elsewhere, instead of being answered too late and delaying all behind it.
"""

from __future__ import annotations

from math import ceil, inf

from tiffin_serve.front.batching.cost import Cost

TICK = 0.001
"""The shortest wait: the loop's timers count milliseconds."""
SAFETY = 0.9
"""What share of its patience a call's expected time may be: the rest is for what the fit cannot know."""
LIKELY = 0.5
"""How many calls must at least be expected for anybody to wait for them."""
EVEN = 2
"""Up to so many calls wait for each one that is expected: two groups of clients are never quite of a size."""
LONGEST_RETRY = 60


def rows_in_time(cost: Cost, most: int, seconds: float) -> int:
    """Say how many rows a batch may have that must be done in so many seconds; at least one, at most `most`."""
    if cost.fixed + cost.each * most <= seconds or not cost.each:
        return most
    return int(max(1, min((seconds - cost.fixed) / cost.each, most)))


def is_hopeless(cost: Cost, rows: int, seconds: float) -> bool:
    """Say whether so many rows are not done in so many seconds even if they leave alone and now."""
    return seconds <= 0 or cost.fixed + cost.each * rows > seconds


def pays_to_wait(cost: Cost, calls: int, rows: int, expected: float, wait: float = inf) -> bool:
    """Say whether so many waiting calls, of so many rows in all, should wait a moment for those that are expected.

    `wait` is how long that has taken lately.
    """
    if calls * TICK < expected * (cost.fixed - TICK - cost.each * rows):
        return True
    return wait < cost.fixed and calls < EVEN * expected


def backlog(cost: Cost, rows: int, most: int) -> float:
    """Say how many seconds of a worker so many waiting rows are; beyond one batch they leave in full ones."""
    if rows <= most:
        return cost.fixed + cost.each * rows if rows else 0.0
    return (cost.fixed + cost.each * most) * ceil(rows / most)


def retry_after(seconds: float) -> int:
    """Give whole seconds for the header Retry-After, from the work that waits: at least 1 (RFC 9110, 10.2.3)."""
    return max(1, min(ceil(seconds), LONGEST_RETRY)) if seconds < inf else LONGEST_RETRY


def seconds_to_live(expected: float, calls: int, lost: int, patience: float) -> float:
    """Say after how many seconds the worker of a batch hangs for sure: when nobody would wait for its answer any more.

    Many calls do not share the fate of one that hangs: their worker may end after a quarter of that time, if it is a
    long time beside what such a batch costs, and half as long each time it is halved, so that all innocent calls are
    answered within their time.
    """
    if not expected or (calls == 1 and not lost):
        return patience
    return min(max(patience / 4 * 0.5**lost, 20 * expected), patience)
