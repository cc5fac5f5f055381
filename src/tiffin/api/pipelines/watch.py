"""`pipeline watch`: a project's pipeline, run by its schedule and for new data; and the unit that has systemd do so."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, tzinfo
from pathlib import Path
from threading import Event as Stopped
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tiffin.api.machine.engines import EMBEDDED, engine_name
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.run import Asked, open_pipeline, run_opened
from tiffin.api.pipelines.runs import is_spec
from tiffin.config.cron import Cron
from tiffin.config.pipeline import PipelineSection, is_tag
from tiffin.config.project import Project
from tiffin.config.read import read_project
from tiffin.errors import ConfigError, UnsupportedError
from tiffin.oci.reference import Reference
from tiffin.pipeline.running.ledger import Event, RunBegan
from tiffin.pipeline.running.runs import Run
from tiffin.pipeline.watching.remembered import Remembered
from tiffin.pipeline.watching.sights import Data, Looks, Tag
from tiffin.pipeline.watching.triggers import Triggers
from tiffin.pipeline.watching.watching import Prepared, Watching

_LOCAL_TIME = Path("/etc/localtime")


class Listener(Protocol):
    """Who hears of what is watched."""

    def said(self, line: str) -> None:
        """Hear a line: something happened."""
        ...

    def told(self, event: Event) -> None:
        """Hear of one event of a run."""
        ...

    def over(self, ran: Run) -> None:
        """Hear that a run has ended, and how."""
        ...


def watch(asked: Asked, listener: Listener, stopped: Stopped) -> None:
    """Run a pipeline whenever it is due, until stopped; raises ConflictError where it is being watched."""
    with _watching(asked, listener) as watching:
        watching.forever(stopped, listener.over)


def run_if_due(asked: Asked, listener: Listener, stopped: Stopped) -> Run | None:
    """Run a pipeline if it is due now, and say how that went; None where it is not, or was stopped before."""
    with _watching(asked, listener) as watching:
        return watching.once(stopped)


@contextmanager
def _watching(asked: Asked, listener: Listener) -> Iterator[Watching]:
    home, project = Home.of(), triggered(asked.what)
    name = asked.name.replace("_", "-") or project.pipeline.name.replace("_", "-")
    remembered = Remembered(home.data / "triggers" / (f"{project.name}.{name}" if name else project.name))
    with remembered.held(name or project.name):
        yield Watching(
            triggers_of(project.pipeline),
            _sights(project.pipeline, asked.what, home),
            remembered,
            lambda: _prepared(asked, listener),
            listener.said,
        )


def triggered(folder: Path) -> Project:
    """The project of a folder, which says what its pipeline is run for; raises ConfigError where it does not."""
    if is_spec(folder):
        raise UnsupportedError(
            f"{folder} is compiled, and says nothing of when it is run",
            f"let cron do it: `0 3 * * * tiffin pipeline run {folder}`; a project's folder can be watched",
        )
    path, project = read_project(folder, needs_model=False)
    if not (project.pipeline.schedule or project.pipeline.watch):
        raise ConfigError(
            f"{path} does not say what the pipeline is run for",
            'write `schedule = "0 3 * * *"` or `watch = ["data/"]` in `[pipeline]`',
        )
    return project


def triggers_of(section: PipelineSection, environment: Mapping[str, str] = os.environ) -> Triggers:
    """What a project's pipeline is run for; raises ConfigError for a time zone that this machine does not know."""
    schedule = Cron.parse(section.schedule) if section.schedule else None
    zone = zone_of(section.time_zone, environment) if schedule else UTC
    return Triggers(schedule=schedule, zone=zone, watch=section.watch)


def zone_of(name: str, environment: Mapping[str, str] = os.environ) -> tzinfo:
    """A time zone by its name; without one, the machine's, as TZ or /etc/localtime says."""
    name = name or environment.get("TZ", "").removeprefix(":")
    if not name:
        if not _LOCAL_TIME.is_file():
            return UTC
        with _LOCAL_TIME.open("rb") as file:
            return ZoneInfo.from_file(file, "local time")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"this machine knows no time zone {name!r}",
            'write `time-zone = "Europe/Berlin"` in `[pipeline]`; the zones are in the package tzdata',
        ) from error


def _sights(section: PipelineSection, folder: Path, home: Home) -> dict[str, Looks]:
    def sight(name: str) -> Looks:
        if is_tag(name):
            return _tag(Reference.parse(name))
        return Data(folder.resolve() / name, home.contents, section.settle_seconds)

    return {name: sight(name) for name in section.watch}


def _tag(reference: Reference) -> Tag:
    from tiffin.store.remote.store import RemoteStore

    return Tag(lambda: RemoteStore.of(reference).digest_of(reference.tag))


def _prepared(asked: Asked, listener: Listener) -> Prepared:
    """The pipeline as it is now: pipeline.py is read, and its environment is there."""
    opened = open_pipeline(asked)

    def run(begins: Callable[[str], None], stopped: Stopped) -> Run:
        def told(event: Event) -> None:
            if isinstance(event, RunBegan):
                begins(event.run)
            listener.told(event)

        return run_opened(opened, told, stopped)

    return Prepared(place=opened.place, run=run)


def unit(asked: Asked, environment: Mapping[str, str] = os.environ) -> str:
    """Write a unit that has systemd keep a watcher of this user's; raises as `watch` does for what has no triggers."""
    project = triggered(asked.what)
    passed = {
        name: str(Path(environment[name]).absolute())
        for name in ("TIFFIN_HOME", "DOCKER_CONFIG")
        if name in environment
    }
    passed |= {name: environment[name] for name in ("TZ",) if name in environment}
    lines = [
        "[Unit]",
        f"Description=Tiffin runs the pipeline of {_quoted(project.name)} when it is due",
        "After=network-online.target",
        "",
        "[Service]",
        f"ExecStart={' '.join(map(_argument, _words(asked)))}",
        *(f'Environment="{_quoted(f"{name}={value}")}"' for name, value in passed.items()),
        "Restart=on-failure",
        "RestartSec=10",
        "KillMode=mixed",
        "TimeoutStopSec=60",
        "",
        "[Install]",
        f"WantedBy={'multi-user' if os.getuid() == 0 else 'default'}.target",
    ]
    return "\n".join(lines)


def _words(asked: Asked) -> list[str]:
    """The command that watches the same again, from whatever folder."""
    words = [sys.executable, "-m", "tiffin", "pipeline", "watch", str(asked.what.resolve())]
    words += ["--name", asked.name] if asked.name else []
    words += ["--engine", engine] if (engine := engine_name()) != EMBEDDED else []
    words += ["--native"] if asked.native else []
    words += ["--jobs", str(asked.options.jobs)] if asked.options.jobs else []
    words += [] if asked.cache is None else ["--cache", asked.cache]
    return [*words, *(part for each in asked.arguments for part in ("-p", each))]


def _argument(word: str) -> str:
    """A word of a command as systemd.service(5) reads it."""
    plain = word and all(letter.isalnum() or letter in "/._-=:,+@" for letter in word)
    return word if plain else f'"{_quoted(word).replace("$", "$$")}"'


def _quoted(text: str) -> str:
    r"""A text within double quotes of a unit: systemd takes \ " and % for more than they are."""
    if any(letter in text for letter in "\n\r\0"):
        raise ConfigError(f"{text!r} has a line break, which no unit can have", "rename it")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
