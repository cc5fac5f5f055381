"""A headless Chromium, driven over its debugging pipe (the Chrome DevTools Protocol), by the standard library."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

DEADLINE = 60.0
BEYOND = 10
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
LEFT = {"Inspected target navigated or closed", "Cannot find context with specified id"}


class LeftError(Exception):
    """The page was left while it was asked."""


class Browser:
    """A browser with one page; what its console and its security policy complain of is in `complaints`."""

    def __init__(self, folder: Path) -> None:
        """Start it with a profile of its own."""
        told, tell = os.pipe(), os.pipe()
        self._told, self._tell = told[0], tell[1]
        # The browser reads its file 3 and writes its file 4; bash puts the pipes there, which dash cannot beyond 9.
        read, write = [fcntl.fcntl(file, fcntl.F_DUPFD, BEYOND) for file in (tell[0], told[1])]
        argv = ["bash", "-c", f'exec "$0" "$@" 3<&{read} 4>&{write}', shutil.which("chromium") or "chromium"]
        argv += [*ARGUMENTS, "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            argv, pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for file in (read, write, tell[0], told[1]):
            os.close(file)
        self._number = 0
        self._buffer = b""
        self.complaints: list[str] = []
        self._session = ""
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: Any) -> Any:
        """Send a command and give its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._tell, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if answer.get("error", {}).get("message") in LEFT:
                    raise LeftError(method)
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._told], [], [], max(deadline - time.monotonic(), 0))
            data = os.read(self._told, 1 << 20) if ready else b""
            assert data, f"the browser says nothing ({self._process.poll()})"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, told: dict[str, Any]) -> None:
        if event == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(told["entry"]["text"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"].get("exception", told["exceptionDetails"])))
        elif event == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning"}:
            self.complaints.append(str(told["args"]))

    def open(self, url: str, width: int = 1280, *, dark: bool = False) -> None:
        """Go to a page."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.tell("Emulation.setEmulatedMedia", features=features)
        self.tell("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href.startsWith('http')")

    def do(self, script: str) -> Any:
        """Evaluate a script in the page and give its value."""
        told = self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in told, (script, told["exceptionDetails"])
        return told["result"].get("value")

    def wait(self, script: str) -> Any:
        """Wait until a script gives something true."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            with contextlib.suppress(LeftError):
                found = self.do(script)
                if found:
                    return found
        raise AssertionError(f"never: {script}; the page says {self.do('document.body.innerText')}")

    def text(self, selector: str) -> str:
        """Give the text that is shown of an element."""
        return str(self.do(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """Press the left button in the middle of an element, as a person would."""
        place = self.do(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.tell("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def type(self, selector: str, text: str) -> None:
        """Replace what is in a field by typing."""
        self.do(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select(); }})()")
        self.tell("Input.insertText", text=text)

    def choose_file(self, selector: str, path: Path) -> None:
        """Put a file into a field for files."""
        root = self.tell("DOM.getDocument")["root"]["nodeId"]
        node = self.tell("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.tell("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def picture(self, path: Path) -> None:
        """Take a picture of the whole page."""
        data = self.tell("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = ""
        self.tell("Browser.close")
        self._process.wait(DEADLINE)
        os.close(self._tell)
        os.close(self._told)
