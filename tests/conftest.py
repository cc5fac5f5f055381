"""What all tests share: one home for images and caches per run, programs that may be absent, and no silent skips."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tiffin.engine.embedded.trees import discard

settings.register_profile("tiffin", deadline=None)  # machines are busy; no test asserts on seconds
settings.load_profile("tiffin")

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ALLOWED = Path(__file__).with_name("allowed-skips.txt")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TIFFIN_HOME for the whole run, shared by its processes, so that nothing is downloaded or made twice."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    path = shared / "tiffin-home"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture(scope="session", autouse=True)
def _runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give an ordinary user without a session a folder for what lasts as long: skopeo would look in one of root's."""
    with pytest.MonkeyPatch.context() as patch:
        if os.geteuid() != 0 and "XDG_RUNTIME_DIR" not in os.environ:
            patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program this machine lacks, naming it, before any fixture starts one."""
    for mark in item.iter_markers("program"):
        for name in mark.args:
            if not shutil.which(name, path=SYSTEM_PATH):
                pytest.skip(f"needs {name}")


def pytest_configure(config: pytest.Config) -> None:
    """Watch for skips where everything is known to be installed."""
    if os.environ.get("CI") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipGuard())


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
    """Remove what an ordinary user's containers own, which pytest cannot: it would fail the end of a later run."""
    yield
    if os.geteuid() and not exitstatus and not hasattr(session.config, "workerinput"):
        discard(session.config._tmp_path_factory.getbasetemp())


class SkipGuard:
    """Fails a run in which a test was skipped for a reason that is not on the committed list."""

    def __init__(self) -> None:
        """Begin with no skips seen."""
        self.unexpected: list[str] = []
        lines = ALLOWED.read_text().splitlines()
        self.allowed = [line for line in lines if line and not line.startswith("#")]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a skip that nobody allowed."""
        if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if not any(reason.startswith(allowed) for allowed in self.allowed):
                self.unexpected.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn unexpected skips into a failure."""
        if self.unexpected:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name them."""
        for line in self.unexpected:
            terminalreporter.write_line(f"FAILED (skipped, and the reason is not in {ALLOWED.name}) {line}")
