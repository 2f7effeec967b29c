"""A headless Chromium that is clicked and typed into through its debugging pipe, as a person would.

No package is needed: commands go to the browser's file descriptor 3 and answers come from 4, as
JSON that ends in a NUL.
"""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "chrome")
# Puts the two ends of the pipes where the browser looks for them, and becomes the browser.
LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execvp(sys.argv[3], sys.argv[3:])"
)
KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Tab": 9}


class Browser:
    """One page of a browser; `failures` holds the scripts' errors."""

    def __init__(self, sends: int, receives: int):
        """Finds the page that is open.

        Args:
          sends: descriptor that commands are written to.
          receives: descriptor that answers are read from.
        """
        self._sends, self._receives, self._read = sends, receives, b""
        self._number, self._session = 0, None
        self._seen: list[dict[str, Any]] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        self.send("Page.enable")
        self.send("Runtime.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._sends, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._seen.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            part = os.read(self._receives, 1 << 20)
            assert part, "the browser has gone"
            self._read += part
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path, width: int = 1280, hash: str = "", dark: bool = False) -> None:
        """Opens a file in a window of that width, and waits until it is loaded."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        # Or a place that is asked for would be on its way still when the mouse goes there.
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.send("Emulation.setEmulatedMedia", features=[theme, still])
        self.send("Page.navigate", url="about:blank")  # or another hash would not load it anew
        went = self.send("Page.navigate", url=path.as_uri() + hash)
        assert "errorText" not in went, (path, went["errorText"])  # or it would be awaited forever
        while not self.run("document.readyState === 'complete' && location.protocol === 'file:'"):
            pass

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited."""
        done = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    @property
    def failures(self) -> list[Any]:
        """Errors that scripts have thrown since the start."""
        return [each["params"] for each in self._seen if each["method"].endswith("exceptionThrown")]

    def point(self, selector: str, *, click: bool = False) -> None:
        """Moves the mouse to the middle of an element, and presses it there."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); "
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, points: list[tuple[float, float]]) -> None:
        """Presses the mouse at the first point and moves it along the others."""
        (x, y), *rest = points
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        press = dict(button="left", buttons=1, clickCount=1)
        self.send("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **press)
        for x, y in rest:
            self.send(
                "Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1
            )
        self.send("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left")

    def press(self, *keys: str) -> None:
        """Presses keys one after another: a name such as "Enter", or a character."""
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            code = KEYS.get(key, 0)
            self.send(
                "Input.dispatchKeyEvent", type="keyDown", key=key, text=text,
                windowsVirtualKeyCode=code,
            )  # fmt: skip
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser for as long as the block runs; a test without one on the PATH is skipped.

    Args:
      profile: folder for all that it writes.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on the PATH")
    command = [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank",
    ]  # fmt: skip
    receives, answers = os.pipe()
    commands, sends = os.pipe()
    # Away from 3 and 4, onto which the child puts them.
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, answers)]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *map(str, theirs), *command],
        pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for end in (commands, answers, *theirs):
        os.close(end)
    try:
        opened = Browser(sends, receives)
        yield opened
        opened.send("Browser.close")
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        os.close(sends), os.close(receives)
