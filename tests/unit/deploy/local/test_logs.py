"""What replicas of a service write, read as one: in order, over replicas that come, go, and are lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tiffin.cli.logs import Named
from tiffin.deploy.local.logs import Following, last_words, lines
from tiffin.deploy.local.state import Event
from tiffin.deploy.local.target import LocalTarget
from tiffin.engine.memory import MemoryEngine, Process
from tiffin.engine.spec import Container, ContainerSpec
from tiffin.errors import CommandError
from tiffin.oci.digest import Digest
from unit.deploy.local.stage import DEADLINE, Play, service, supervised


class Talk:
    """Containers that say what they are told to, and end when they are told `end`."""

    def __init__(self) -> None:
        self.engine = MemoryEngine({"talk": self._talk})
        self._words: dict[str, list[str]] = {}
        self._changed = threading.Condition()

    def start(self, name: str, *words: str) -> Container:
        self._words[name] = [*words]
        made = self.engine.create(
            ContainerSpec(name=name, image="iris", digest=Digest.of(b"x"), layers=(), argv=("talk",))
        )
        made.start()
        return made

    def say(self, name: str, *words: str) -> None:
        with self._changed:
            self._words[name] += words
            self._changed.notify_all()

    def _talk(self, process: Process) -> int:
        said = 0
        with self._changed:
            while True:
                words = self._words[process.spec.name]
                while said < len(words):
                    if words[said] == "end":
                        return 3
                    process.out(words[said])
                    said += 1
                self._changed.wait(DEADLINE)


def written(container: Container, count: int) -> None:
    due = time.monotonic() + DEADLINE
    while len(list(container.logs())) < count:
        assert time.monotonic() < due


def lost(number: int, replica: str, *log: str) -> Event:
    numbers = {"replica": replica, "log": list(log)}
    return Event(id=number, time=1000.0, service="iris", kind="lost", message="it ended with 3", numbers=numbers)


def test_lines_are_in_the_order_of_time_and_those_of_the_lost_are_there() -> None:
    talk = Talk()
    one = talk.start("one", "1")
    written(one, 1)
    two = talk.start("two", "2")
    written(two, 1)
    talk.say("one", "3")
    written(one, 2)
    events = [lost(1, "gone", "last", "words"), lost(2, "one", "known already")]
    assert [(name, line.text) for name, line in lines([one, two], events, None)] == [
        ("gone", "last"),
        ("gone", "words"),
        ("gone", "[it ended with 3]"),
        ("one", "1"),
        ("two", "2"),
        ("one", "3"),
    ]
    assert next(lines([one, two], events, 1))[1].text == "[it ended with 3]"
    assert len(list(lines([one, two], [], 1))) == 2
    assert list(lines([one, two], events, 0)) == []
    talk.say("one", "end")
    talk.say("two", "end")


def test_who_comes_under_load_is_followed_and_who_was_lost_unseen_is_told() -> None:
    """Lines come all the time, so that nobody ever waits for one; another replica comes, and a third in no time."""
    talk, events = Talk(), list[Event]()
    heard = threading.Event()

    def after(number: int, _wait: float) -> Sequence[Event]:
        while not (found := [event for event in events if event.id > number]):
            heard.wait(DEADLINE)
            heard.clear()
        return found

    written(talk.start("one", "a", "b", "c"), 3)
    follow = Following(talk.engine.list, after, 0).lines(2)
    assert [next(follow)[1].text for _ in range(2)] == ["b", "c"]
    talk.start("two", "d")
    events.append(Event(id=1, time=0.0, service="iris", kind="start", message=""))
    heard.set()
    for number in range(10_000):
        talk.say("one", str(number))
        if next(follow)[0] == "two":
            break
    else:
        pytest.fail("who comes is not followed")
    events.append(lost(2, "three", "so short a life"))
    heard.set()
    rest = ((name, line.text) for name, line in follow)
    assert ("three", "so short a life") in rest
    assert next(rest) == ("three", "[it ended with 3]")
    for name in ("one", "two"):
        talk.say(name, "end")


def test_a_replica_that_is_removed_while_it_is_followed_ends_nothing() -> None:
    talk = Talk()
    one, two = talk.start("one", "a"), talk.start("two", "b")
    written(one, 1)
    written(two, 1)
    quiet = threading.Event()
    follow = Following(talk.engine.list, lambda *_: quiet.wait() and [], 0).lines(None)
    assert {next(follow)[1].text for _ in range(2)} == {"a", "b"}
    talk.say("one", "last", "end")
    one.wait()
    one.remove()
    assert next(follow)[1].text == "last"
    talk.say("two", "c", "end")
    assert next(follow)[1].text == "c"


def test_following_ends_with_the_service_and_loses_nothing(tmp_path: Path) -> None:
    play = Play()
    with supervised(tmp_path / "data", play):
        target = LocalTarget(tmp_path / "data", play.engine)
        target.apply(service(replicas=2))
        follow = target.logs("iris", follow=True)
        first = next(follow)
        target.delete("iris")
        rest = [first, *follow]
    assert sorted(line.text for _, line in rest) == sorted(f"hello from {name}" for name, _ in rest)
    assert len(rest) == 2


def test_last_words_have_their_reason_and_a_time_that_is_read() -> None:
    ((name, line),) = last_words(lost(1, ""), 1)
    assert (name, line.text, line.time) == ("iris", "[it ended with 3]", "1970-01-01T00:16:40.000000Z")


def test_a_crash_loop_says_why_although_its_replicas_are_gone(tmp_path: Path) -> None:
    play = Play()
    with supervised(tmp_path / "data", play):
        target = LocalTarget(tmp_path / "data", play.engine)
        with pytest.raises(CommandError, match="does not come up"):
            target.apply(service("ends"))
        said = [line.text for _, line in target.logs("iris")]
        assert said.count("no module x") >= 3
        assert any("it ended with 3" in text for text in said)
        assert all(name.startswith("iris-1-") for name, _ in target.logs("iris"))
        target.delete("iris")


def test_names_are_as_wide_as_the_widest_and_colours_are_for_terminals() -> None:
    named = Named()
    assert [named(name) for name in ("aa", "bbbb", "aa")] == ["aa  ", "bbbb  ", "aa    "]
    named._colours = {}
    first, second, again = named("aa"), named("bb"), named("aa")
    assert first == again != second
    assert first.startswith("\x1b[")
