"""What a batch costs and how many calls answers bring: two small fits that learn from every batch, in a few numbers.

A batch of n rows takes `fixed + each * n` seconds. The fit is a least-squares line whose past fades: means, variance
and covariance are exponentially weighted, and the slope leans on the one before, so that a long time of equal batches
does not forget what unequal ones taught. A batch that took far longer than expected counts only as several times
slower: a pause of the machine is no news of the model, a model that stays slow is believed after a few batches.
"""

from __future__ import annotations

SHARE = 0.05
"""What one batch weighs against all before it, once there are enough."""
WARMING = 16
"""After so many batches a single one may no longer turn the fit."""
STRANGE = 4.0
"""A batch that took so many times longer than expected counts as only so many."""
LEANING = 0.01
"""How much the slope leans on its past, as a share of the square of the mean size."""
ECHO_SHARE = 0.2
"""What the calls after one batch weigh against those after all before it."""
FORGETTING = 0.98
"""What is left of a wait's length after a batch that did not wait: after a while waiting is tried again."""


class Cost:
    """Seconds that a batch of so many rows takes."""

    __slots__ = ("_covariance", "_rows", "_seconds", "_seen", "_variance", "each", "fixed")

    def __init__(self) -> None:
        self.fixed = 0.0
        self.each = 0.0
        self._rows = 0.0
        self._seconds = 0.0
        self._variance = 0.0
        self._covariance = 0.0
        self._seen = 0

    @property
    def known(self) -> bool:
        """Say whether any batch was seen."""
        return self._seen > 0

    def heir(self) -> Cost:
        """Give a fit for calls that resemble these until they show otherwise."""
        heir = Cost()
        heir.fixed, heir.each = self.fixed, self.each
        heir._rows, heir._seconds = self._rows, self._seconds
        heir._seen = min(self._seen, 1)
        return heir

    def expect(self, rows: int) -> float:
        """Say how many seconds a batch of so many rows takes; 0 when none was seen."""
        return self.fixed + self.each * rows

    def learn(self, rows: int, seconds: float) -> None:
        """Take note of a batch."""
        seen = self._seen
        self._seen = seen + 1
        if seen < WARMING:
            share = 1 / (seen + 1)
            if seconds * 2 < self.fixed + self.each * rows:
                share = max(share, 0.5)  # the first batch of a cold model says little of those that follow
        else:
            share = SHARE
            seconds = min(seconds, STRANGE * (self.fixed + self.each * rows))
        more, longer = rows - self._rows, seconds - self._seconds
        self._rows = mean = self._rows + share * more
        self._seconds += share * longer
        rest = 1 - share
        self._variance = rest * (self._variance + share * more * more)
        self._covariance = rest * (self._covariance + share * more * longer)
        leaning = LEANING * mean * mean
        each = (self._covariance + leaning * self.each) / (self._variance + leaning)
        self.each = each = min(max(each, 0.0), self._seconds / mean)
        self.fixed = self._seconds - each * mean


class Echo:
    """How many calls come within a moment after answers left: clients that ask again, and whoever comes by chance.

    Whoever takes a call before `until` adds one to `came`. `wait` is how many seconds batches have waited for company,
    lately, whether it came or not.
    """

    __slots__ = ("_answers", "_held", "_share", "came", "until", "wait")

    def __init__(self) -> None:
        self._share = 0.0
        self._answers = 0
        self._held = 0.0
        self.came = 0
        self.until = 0.0
        self.wait = 0.0

    @property
    def missing(self) -> float:
        """Say how many are still to be expected after the last answers."""
        return self._share * self._answers - self.came

    def answered(self, answers: int, until: float) -> None:
        """Take note that so many answers leave now, and begin to count until then."""
        if self._answers:
            self._share += ECHO_SHARE * (min(self.came / self._answers, 1.0) - self._share)
        self._answers = answers
        self.came = 0
        self.until = until

    def hold(self, now: float) -> None:
        """Take note that a batch waits for company."""
        if not self._held:
            self._held = now

    def let_go(self, now: float) -> None:
        """Take note that a batch leaves: how long it has waited is what the next would have to wait."""
        if self._held:
            self.wait += ECHO_SHARE * (now - self._held - self.wait)
            self._held = 0.0
        else:
            self.wait *= FORGETTING
