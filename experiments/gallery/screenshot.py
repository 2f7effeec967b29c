"""A picture of the playground for the README, taken by a browser."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from jaxcnn.visualize import live

NAMES = ("chromium", "chromium-browser", "chrome", "google-chrome")
_SETUP = "#op=conv&n=5x5&k=3x3&s=2&p=1&grad=1"
_SIZE = 1080, 806


def take(path: Path) -> bool:
    """Writes the picture; returns False where no browser is found.

    Raises:
      OSError: the browser failed, or the picture can't be written.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(live.page(_SETUP, "The playground"), encoding="utf-8")
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--virtual-time-budget=2000", f"--user-data-dir={folder}/profile",
            f"--window-size={_SIZE[0]},{_SIZE[1]}", f"--screenshot={path.resolve()}", page.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode or not path.exists():
            raise OSError(f"{program} took no picture")
    return True
