"""The story of examples/retrain: a model is retrained on new rows, and released only where it is better, under load."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from end_to_end.small import environment, tiffin

EXAMPLE = Path(__file__).parents[2] / "examples" / "retrain"
DEADLINE = 120.0
STEPS = ("fit", "evaluate", "champion", "evaluate-champion", "gate", "build", "deploy")


def until(condition: Callable[[], object]) -> None:
    due = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < due, "gave up waiting"
        time.sleep(0.05)


class Story:
    """A copy of the example, a home of its own, and the supervisor of its services."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder / "retrain", folder / "home"
        shutil.copytree(EXAMPLE, self.folder, ignore=shutil.ignore_patterns("__pycache__", "data", "*.tiffin.toml"))
        self.home.mkdir()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the services of the home."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tiffin", "up"], env=environment(self.home), stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stderr
            assert "keeping" in process.stderr.readline()
            yield
            tiffin(self.home, "delete", "diagnosis")
        finally:
            process.kill()
            process.communicate()

    def rows(self, *how: str) -> None:
        subprocess.run([sys.executable, "rows.py", *how], cwd=self.folder, check=True, capture_output=True)

    def run(self, *arguments: str) -> dict[str, Any]:
        ran: dict[str, Any] = json.loads(tiffin(self.home, "pipeline", "run", self.folder, "--json", *arguments))
        return ran

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(tiffin(self.home, "status", "diagnosis", "--json"))
        return found

    def question(self) -> tuple[int, str]:
        """The service's port, and what it is asked: the first row that no model was fitted to."""
        port = int(self.status()["addresses"][0].rpartition(":")[2])
        row = (self.folder / "data" / "held-out.csv").read_text().splitlines()[1].split(",")[:-1]
        return port, json.dumps([[float(cell) for cell in row]])


class Load:
    """Clients that ask one request after the other while something else happens."""

    def __init__(self, port: int, question: str) -> None:
        self.answers: Counter[object] = Counter()
        self._port, self._question, self._ending = port, question, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]

    @contextmanager
    def on(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            until(lambda: self.answers[200] > 20)
            yield
            enough = self.answers[200] + 20
            until(lambda: self.answers[200] > enough)
        finally:
            self._ending.set()
            for thread in self._threads:
                thread.join(DEADLINE)

    def _ask(self) -> None:
        while not self._ending.is_set():
            client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
            try:
                client.request("POST", "/predict", self._question)
                answer = client.getresponse()
                answer.read()
                self.answers[answer.status] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[type(error).__name__] += 1
            finally:
                client.close()


def states(ran: dict[str, Any]) -> dict[str, str]:
    """What became of each step, in a word."""
    found = {name: "kept" if task.get("cached") else task["state"] for name, task in ran["tasks"].items()}
    assert found.keys() == set(STEPS)
    return found


def test_a_model_is_retrained_and_only_a_better_one_is_released(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.rows()
    with story.kept():
        the_first_one_is_released(story)
        nothing_new_is_not_done_again(story)
        a_worse_one_is_refused(story)
        a_better_one_is_rolled_out_under_load(story)
        measured = json.loads(tiffin(story.home, "pipeline", "list", "-C", story.folder, "--metrics", "--json"))
        assert [run["numbers"]["evaluate.accuracy"] for run in measured] == [0.925, 0.925, 0.13, 0.945]


def the_first_one_is_released(story: Story) -> None:
    ran = story.run()
    assert ran["outputs"]["passed"] is True
    assert "there is no champion" in ran["outputs"]["why"]
    assert states(ran) == {**dict.fromkeys(STEPS, "succeeded"), "evaluate-champion": "skipped"}


def nothing_new_is_not_done_again(story: Story) -> None:
    again = states(story.run())
    assert (again["fit"], again["evaluate"], again["evaluate-champion"]) == ("kept",) * 3
    assert (again["gate"], again["build"], again["deploy"]) == ("succeeded", "skipped", "skipped")


def a_worse_one_is_refused(story: Story) -> None:
    story.rows("--wrong")
    ran = story.run()
    assert ran["outputs"]["passed"] is False
    assert "does not beat the champion's 0.925" in ran["outputs"]["why"]
    assert (states(ran)["fit"], states(ran)["deploy"]) == ("succeeded", "skipped")
    assert "the input rows: sha256:" in tiffin(story.home, "pipeline", "why", "fit", "-C", story.folder)
    assert len(story.status()["revisions"]) == 1


def a_better_one_is_rolled_out_under_load(story: Story) -> None:
    story.rows("--more")
    load = Load(*story.question())
    with load.on():
        ran = story.run()
    assert ran["outputs"]["passed"] is True
    assert {answer for answer, count in load.answers.items() if count} == {200}, load.answers
    now, before = story.status()["revisions"]
    assert (now["image"], now["ready"], before["ready"]) == (ran["tasks"]["build"]["values"]["image"], 1, 0)
