"""A headless Chromium, driven through the pipe of its DevTools protocol.

Commands and events are JSON, each ended by a zero byte, on file descriptors 3 and 4 of the browser.
"""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from typing import Any

NAMES = ("chromium", "google-chrome", "chromium-browser")
PATH = next((path for name in NAMES if (path := shutil.which(name))), None)
"""The browser of this machine, if it has one."""

PATIENCE = 60.0
"""Seconds that an answer may take: the first start on a busy machine is slow."""

Event = dict[str, Any]


class Page:
    """One tab, and every event that it has sent."""

    def __init__(self, send: int, receive: int) -> None:
        self.events: list[Event] = []
        self._send, self._receive, self._rest, self._count = send, receive, b"", 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> Any:
        """The result of one command."""
        number = self._tell(method, **params)
        answer = self._wait(lambda message: message.get("id") == number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _tell(self, method: str, **params: object) -> int:
        self._count += 1
        command = {"id": self._count, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._send, json.dumps(command).encode() + b"\0")
        return self._count

    def open(self, path: Path) -> None:
        """Load a file, until it is whole."""
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        if "Page.loadEventFired" not in self.heard():
            self._wait(lambda message: message.get("method") == "Page.loadEventFired")

    def look(self, width: int, theme: str = "light", height: int = 900) -> None:
        """Give the window a width in CSS pixels and the user a preference."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def ask(self, script: str) -> Any:
        """The value of an expression of the console."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def heard(self, *methods: str) -> list[Any]:
        """Names of the events so far; or the parameters of events of these names."""
        if not methods:
            return [event["method"] for event in self.events]
        return [event["params"] for event in self.events if event["method"] in methods]

    def _wait(self, wanted: Callable[[Event], bool]) -> Event:
        end = time.monotonic() + PATIENCE
        while True:
            while b"\0" in self._rest:
                text, self._rest = self._rest.split(b"\0", 1)
                message: Event = json.loads(text)
                if "method" in message:
                    self.events.append(message)
                if message.get("method") == "Page.javascriptDialogOpening":
                    self._tell("Page.handleJavaScriptDialog", accept=True)
                if wanted(message):
                    return message
            if not select.select([self._receive], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"no answer from the browser in {PATIENCE:g} s")
            if not (more := os.read(self._receive, 1 << 16)):
                raise EOFError("the browser has ended")
            self._rest += more


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A tab of a browser of its own, which keeps everything in the folder `profile`."""
    assert PATH is not None
    to_browser, from_browser = os.pipe(), os.pipe()
    # Free numbers out of the way of 3 and 4, so that neither overwrites the other.
    inner = [fcntl(end, F_DUPFD, 10) for end in (to_browser[0], from_browser[1])]
    ends = "3<&{0} 4>&{1} {0}<&- {1}>&-".format(*inner)
    command = [
        *(PATH, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"),
        *("--no-first-run", "--disable-dev-shm-usage", "--disable-background-networking"),
        *("--hide-scrollbars", f"--user-data-dir={profile}", "about:blank"),
    ]
    process = subprocess.Popen(
        ["bash", "-c", f'exec {ends}; exec "$@"', "bash", *command],
        pass_fds=inner,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for descriptor in (*inner, to_browser[0], from_browser[1]):
        os.close(descriptor)
    try:
        yield Page(to_browser[1], from_browser[0])
    finally:
        os.close(to_browser[1])
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_browser[0])
