"""A real browser for tests, by chromedriver's own protocol (W3C WebDriver), without a library."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = "" if BROWSER and DRIVER else "no Chromium with chromedriver on this machine"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1200,800", "--force-device-scale-factor=1",
]  # fmt: skip
KEYS = {
    "Left": "\ue012", "Up": "\ue013", "Right": "\ue014", "Down": "\ue015", "Home": "\ue011",
    "End": "\ue010", "Enter": "\ue007", "Escape": "\ue00c", "Shift": "\ue008", "Tab": "\ue004",
    "Delete": "\ue017", "Control": "\ue009",
}  # fmt: skip


class Browser:
    """Chromium with one page; keys and mouse are the browser's own events.

    Args:
        profile: The browser's folder; the same one remembers.
        flags: More of the browser's.
    """

    def __init__(self, profile: Path, flags: Sequence[str] = ()) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        options = {"binary": BROWSER, "args": [*FLAGS, f"--user-data-dir={profile}", *flags]}
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options}}
        self._await_driver()
        session = self._ask("POST", "/session", {"capabilities": capabilities})
        self._session = f"/session/{session['sessionId']}"
        self._ask("POST", f"{self._session}/timeouts", {"script": 60_000})

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", self._session)
        finally:
            self._process.terminate()
            self._process.wait(20)

    def open(self, page: Path) -> None:
        """Go to a file and wait until it is there."""
        self._ask("POST", f"{self._session}/url", {"url": page.as_uri()})
        self.run("window.failures = []; window.onerror = text => { failures.push(text); };")

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of a function in the page."""
        body = {"script": script, "args": arguments}
        return self._ask("POST", f"{self._session}/execute/sync", body)

    def run_async(self, script: str, *arguments: object) -> Any:
        """Run one that calls its last argument with the value when it is done."""
        body = {"script": script, "args": arguments}
        return self._ask("POST", f"{self._session}/execute/async", body)

    def until(self, expression: str, *arguments: object) -> Any:
        """Wait for an expression to be true, and give its value."""
        ends = time.monotonic() + 20
        while not (value := self.run(f"return ({expression});", *arguments)):
            assert time.monotonic() < ends, f"never: {expression}"
            time.sleep(0.05)
        return value

    def command(self, name: str, **parameters: object) -> Any:
        """What only the browser's own protocol can do: touch with two fingers, emulate a phone."""
        body = {"cmd": name, "params": parameters}
        return self._ask("POST", f"{self._session}/goog/cdp/execute", body)

    def touch(self, *steps: Sequence[tuple[float, float]]) -> None:
        """Put down as many fingers as a step has places, move them to each next, lift all."""
        for number, fingers in enumerate(steps):
            points = [{"x": x, "y": y, "id": id} for id, (x, y) in enumerate(fingers)]
            kind = "touchMove" if number else "touchStart"
            self.command("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def press(self, *keys: str, holding: str | None = None) -> None:
        """Type keys, by their names where they have one."""
        steps: list[dict[str, str]] = []
        for key in keys:
            value = KEYS.get(key, key)
            steps += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        if holding:
            value = KEYS[holding]
            steps = [{"type": "keyDown", "value": value}, *steps, {"type": "keyUp", "value": value}]
        self._act({"type": "key", "id": "keyboard", "actions": steps})

    def drag(
        self, start: tuple[float, float], end: tuple[float, float], *, by: str = "mouse"
    ) -> None:
        """Press, move and let go; `by` mouse or touch."""
        steps: list[dict[str, object]] = [
            {"type": "pointerMove", "x": round(start[0]), "y": round(start[1]), "duration": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "x": round(end[0]), "y": round(end[1]), "duration": 50},
            {"type": "pointerUp", "button": 0},
        ]
        parameters = {"pointerType": by}
        self._act({"type": "pointer", "id": by, "parameters": parameters, "actions": steps})

    def click(self, selector: str) -> None:
        """Click into the middle of an element, as a mouse does."""
        middle = self.until(
            "(() => { const e = document.querySelector(arguments[0]); if (!e) return null;"
            " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            " return [b.left + b.width / 2, b.top + b.height / 2]; })()",
            selector,
        )
        self.drag(middle, middle)

    def errors(self) -> list[str]:
        """What went wrong in the page since it was opened."""
        return list(self.run("return window.failures;"))

    def screenshot(self, path: Path) -> None:
        """The window as a PNG."""
        import base64

        path.write_bytes(base64.b64decode(self._ask("GET", f"{self._session}/screenshot")))

    def _act(self, source: dict[str, object]) -> None:
        self._ask("POST", f"{self._session}/actions", {"actions": [source]})

    def _await_driver(self) -> None:
        ends = time.monotonic() + 30
        while True:
            try:
                if self._ask("GET", "/status")["ready"]:
                    return
            except (ConnectionError, urllib.error.URLError):
                if time.monotonic() > ends:
                    raise
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            self._url + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=90) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:2000]) from error
