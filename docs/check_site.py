"""Open every page of the built documentation in Chromium; count what is broken.

``python docs/check_site.py [FOLDER]`` serves docs/_build/html on this machine alone, opens each
page at the width of a desk and of a phone, and prints pages, links and what is wrong: links and
anchors that lead nowhere, pictures that do not load, errors on the console, requests to other
hosts, pages wider than a phone. It ends with status 1 if anything is. Without Chromium and its
driver it says so and does nothing.
"""

import functools
import http.server
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

BUILT = Path(__file__).parent / "_build" / "html"
CHROMIUM, DRIVER = ("chromium", "chromium-browser", "google-chrome"), ("chromedriver",)
DESK, PHONE = (1280, 900), (390, 844)
LOOK = """
return {
  links: [...document.querySelectorAll('a[href]')].map(a => a.href),
  anchors: [...document.querySelectorAll('[id]')].map(e => e.id),
  pictures: [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src),
}"""
EXCESS = """
return Math.max(
  document.documentElement.scrollWidth - window.innerWidth,
  ...[...document.querySelectorAll('article :is(h1, h2, h3, p, dt.sig)')]
    .map(e => e.clientWidth && e.scrollWidth - e.clientWidth))"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print no line for each request."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine; yield its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def browser(chromium: str, driver: str) -> Iterator[webdriver.Chrome]:
    """Start a headless Chromium that keeps its console and the addresses it asked for."""
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options, Service(driver))
    try:
        chrome.set_page_load_timeout(120)
        yield chrome
    finally:
        chrome.quit()


def resize(chrome: webdriver.Chrome, size: tuple[int, int]) -> None:
    """Give the page the size of a screen."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def requests(chrome: webdriver.Chrome) -> Iterator[str]:
    """Addresses asked for since the last call."""
    for entry in chrome.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            yield message["params"]["request"]["url"]


def visit(chrome: webdriver.Chrome, page: str, root: str) -> dict[str, Any]:
    """Open a page and return its links, its anchors, and what is wrong with it."""
    resize(chrome, DESK)
    chrome.get(root + page)
    found = chrome.execute_script(LOOK)
    resize(chrome, PHONE)
    excess = chrome.execute_script(EXCESS)
    errors = [e["message"] for e in chrome.get_log("browser") if e["level"] == "SEVERE"]
    outside = [a for a in requests(chrome) if a.startswith("http") and not a.startswith(root)]
    return found | {
        "console errors": errors,
        "requests to other hosts": outside,
        "wider than a phone": [f"by {excess} pixels"] if excess > 0 else [],
    }


def broken_links(pages: dict[str, dict[str, Any]], root: str, folder: Path) -> dict[str, list[str]]:
    """Links of each page to files or anchors of the site that are not there."""
    anchors = {page: {*found["anchors"], "", "top"} for page, found in pages.items()}
    broken: dict[str, list[str]] = {}
    for page, found in pages.items():
        for link in found["links"]:
            address, anchor = urldefrag(link)
            anchor = anchor.partition(":~:")[0]  # scikit-learn's links to a text are no anchors
            if not address.startswith(root):
                continue
            target = unquote(urlsplit(address).path).lstrip("/") or "index.html"
            there = (folder / target).is_file()
            if not there or unquote(anchor) not in anchors.get(target, {unquote(anchor)}):
                broken.setdefault(page, []).append(link.removeprefix(root))
    return broken


def main() -> int:
    """Check the site and return the exit status."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else BUILT
    chromium, driver = (next(filter(None, map(shutil.which, n)), None) for n in (CHROMIUM, DRIVER))
    if chromium is None or driver is None:
        print("skipped: no Chromium with its driver here (Debian: apt-get install "
              "chromium chromium-driver)")  # fmt: skip
        return 0
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.html"))
    names = [name for name in names if not name.startswith("_")]
    if not names:
        sys.exit(f"{folder} holds no page; run sphinx-build docs {folder} first")
    with served(folder) as root, browser(chromium, driver) as chrome:
        pages = {name: visit(chrome, name, root) for name in names}
        broken = broken_links(pages, root, folder)
    n_links = sum(link.startswith(root) for found in pages.values() for link in found["links"])
    print(f"pages opened: {len(pages)}\nlinks within the site: {n_links}")
    wrong = {"broken links and anchors": broken}
    for kind in ("pictures", "console errors", "requests to other hosts", "wider than a phone"):
        label = "pictures not loaded" if kind == "pictures" else kind
        wrong[label] = {page: found[kind] for page, found in pages.items() if found[kind]}
    for label, by_page in wrong.items():
        print(f"{label}: {sum(map(len, by_page.values()))}")
        for page, what in by_page.items():
            print(*(f"  {page}: {item}" for item in what[:5]), sep="\n")
    return 1 if any(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
