"""The report in a real browser: no errors, no requests, and hostile names shown as text."""

import json
import re
import shutil
import sys

import pytest
from breaker_calls import succeed

from conftest import ROOT
from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, ManualClock, RecloserError
from recloser.audit.report_page import plotting_library, report

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "<b>bold</b> <a href='http://example.invalid/'>link</a>",
    "[bold red]rich[/] {data} %{x} &lt;i&gt;",
    "\x1b[31mred\x1b]0;title\x07",
    "safe\u202egnp.exe",
    "two\nlines",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no browser is installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=CHROMIUM,
            headless=True,
            args=ARGUMENTS,
            viewport={"width": 1280, "height": 900},
        )
        yield context
        context.close()


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens the report of a log and records console messages and requests."""
    pages = []

    def open_page(log):
        text, _ = report(log, str(log))
        file = tmp_path / "page.html"
        file.write_text(text, encoding="utf-8")
        page = browser.new_page()
        pages.append(page)
        page.noted = []
        page.on("console", lambda message: page.noted.append(message.text))
        page.on("pageerror", lambda error: page.noted.append(str(error)))
        page.on("dialog", lambda dialog: page.noted.append(dialog.message) or dialog.dismiss())
        page.on("request", lambda request: page.noted.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        assert page.noted.pop(0) == file.as_uri()
        return page

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture
def hostile(tmp_path):
    path = tmp_path / "log"
    clock = ManualClock()
    with EventLog(path, clock=clock, host="") as log:
        for name in HOSTILE:
            breaker = CircuitBreaker(name, CircuitBreakerConfig(failure_threshold=2), log=log)
            for _ in range(2):
                breaker.after_failure(breaker.before_call().permit, name)
            clock.advance(seconds=40)
            succeed(breaker, 2)
            breaker.force_open(actor=name, reason=name)
    return path


def wait_until(page, condition):
    """Wait until a condition holds; the page's policy forbids the browser's own wait for strings."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


def click_mark(page, number):
    """Click the n-th triangle at its position on the screen."""
    marks = page.locator("#lanes .scatterlayer .point")
    box = marks.nth(number).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(100)  # the library looks at what is under the pointer 20 times a second
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


@pytest.mark.parametrize("fixture", ["redis-killed", "slow-dependency", "wall-clock-stepped"])
def test_the_page_loads_nothing_and_a_click_on_a_trip_shows_why(opened, fixture):
    page = opened(ROOT / "fixtures" / fixture)
    assert not page.locator("#why").is_visible()
    click_mark(page, 0)
    page.wait_for_selector("#why:not([hidden])")
    assert "5 consecutive failures reached the threshold of 5" in page.inner_text("#headline")
    facts = page.inner_text("#facts")
    assert "failure_threshold = 6 (it was 5)" in facts
    assert "any 1 of these 5" in facts
    assert page.locator("#evidence tbody tr").count() == 5
    assert page.noted == []


def test_hostile_names_are_shown_as_text(opened, hostile):
    page = opened(hostile)
    shown = page.inner_text("body")
    for name in HOSTILE[:4]:
        assert name in shown
    for escaped in ("\\x1b[31mred\\x1b]0;title\\x07", "safe\\u202egnp.exe", "two\\nlines"):
        assert escaped in shown
    for index in range(page.locator("#trips tbody tr").count()):
        page.locator("#trips tbody tr").nth(index).click()
        assert page.locator("#facts").inner_text()
    page.locator("#lanes .scatterlayer .point").first.hover(force=True)
    assert (
        page.locator("#lanes img, #why img, #lanes a[href*=invalid], section script").count() == 0
    )
    labels = page.locator("#lanes .ytick text").all_text_contents()
    assert any("<img src=x" in label for label in labels)
    assert "\u202e" not in page.content()
    assert page.noted == []


def test_breakers_can_be_filtered_and_time_zoomed(opened, hostile):
    page = opened(hostile)
    everything = page.locator("#lanes .scatterlayer .point").count()
    page.fill("#filter", "RICH")
    wait_until(page, "document.querySelector('#shown').textContent.startsWith('1 of 7')")
    assert 0 < page.locator("#lanes .scatterlayer .point").count() < everything
    page.fill("#filter", "")
    box = page.locator("#calls .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 50, steps=5)
    page.mouse.up()
    of_lanes = "document.querySelector('#lanes').layout.xaxis.range.map(x => +new Date(x))"
    of_calls = of_lanes.replace("#lanes", "#calls")
    wait_until(page, f"{of_lanes}.join() === {of_calls}.join()")
    zoomed = page.evaluate(of_lanes)
    page.click("#all")
    wait_until(page, f"{of_lanes}[0] < {zoomed[0]}")
    assert page.noted == []


def test_the_page_follows_the_dark_mode_of_the_system(opened):
    page = opened(ROOT / "fixtures" / "redis-killed")
    paper = "getComputedStyle(document.body).backgroundColor"
    drawn = "document.querySelector('#lanes').layout.paper_bgcolor"
    light = page.evaluate(paper), page.evaluate(drawn)
    page.emulate_media(color_scheme="dark")
    wait_until(page, f"{drawn} !== '{light[1]}'")
    assert page.evaluate(paper) != light[0]
    assert page.noted == []


def test_the_policy_blocks_foreign_scripts_and_requests(opened):
    page = opened(ROOT / "fixtures" / "redis-killed")
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1'; "
        "document.body.append(s); fetch('http://127.0.0.1:9/').catch(() => 0); }"
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in noted for noted in page.noted)
    assert not any(noted.startswith("http://127.0.0.1:9") for noted in page.noted)


def test_the_page_holds_the_policy_and_escaped_data(hostile):
    text, figures = report(hostile, "log </title>")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in policy
    assert policy.count("'sha256-") == 2
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)[
        1
    ]
    assert "<" not in data
    assert len(json.loads(data)["trips"]) == figures.trips == 2 * len(HOSTILE)
    assert "<title>Circuit breakers: log &lt;/title&gt;</title>" in text


def test_a_report_without_plotly_is_a_one_line_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(RecloserError, match=r"needs plotly.*: pip install 'recloser\[report\]'"):
        plotting_library()
