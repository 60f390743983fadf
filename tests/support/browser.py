"""A real browser for tests: Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from supervised import lacking

ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser during the block; without one the test is skipped, or fails where it must not."""
    found = shutil.which("chromium")
    if found is None:
        lacking("Chromium is not installed: apt-get install chromium fonts-noto-core")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A page that is open, with everything that it asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def elsewhere(self, own: str) -> list[str]:
        """Requests that went to another server than this one."""
        return [
            each
            for each in self.requests
            if not each.startswith("data:") and urlsplit(each).netloc != urlsplit(own).netloc
        ]

    def violations(self) -> list[str]:
        """Serious violations of accessibility by axe's rules, with the elements."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']}: {node['html']} {node.get('failureSummary', '')}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]


@contextmanager
def tab(browser: Browser, url: str, **context: Any) -> Iterator[Tab]:
    """Open an address in a window of its own."""
    opened = browser.new_context(**context)
    try:
        found = Tab(opened.new_page())
        found.page.set_default_timeout(30_000)
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on(
            "console",
            lambda said: (
                found.complaints.append(f"{said.type}: {said.text}")
                if said.type in ("error", "warning")
                else None
            ),
        )
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.goto(url)
        yield found
    finally:
        opened.close()
