"""Take the picture of the report that the documentation shows: ``python tools/docs/screenshot.py``.

Needs Chromium and the ``dev`` extra.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from recloser.cli import status_of

ROOT: Final = Path(__file__).parent.parent.parent
PICTURE: Final = ROOT / "src" / "recloser" / "docs" / "images" / "report.png"
WIDTH: Final = 1300
HEIGHT: Final = 850


def main() -> None:
    """Make the report of a recording, open it in the browser, and write the picture."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        report = Path(folder) / "report.html"
        log = ROOT / "fixtures" / "redis-killed"
        assert status_of(["report", str(log.relative_to(Path.cwd())), "-o", str(report)]) == 0
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report.as_uri())
        page.wait_for_load_state("networkidle")
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
