"""The status page in Debian's Chromium, as a person sees it."""

import re
import shutil

import pytest
import requests
from playwright.sync_api import expect, sync_playwright

#: The page asks every two seconds, and a busy machine takes its time.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"], timeout=120_000
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, operated):
    """Opens the page; at the end there was no complaint, and no request to anybody else."""
    _, admin = operated
    complaints, asked, contexts = [], [], []

    def open_page(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{admin}/")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert asked and all(url.startswith((f"{admin}/", "data:")) for url in asked), asked


def test_shows_where_routes_go_and_until_when_credentials_are_valid(opened, emulator):
    page = opened()
    expect(page.locator("#routes tr")).to_have_count(3)
    expect(page.locator("#routes tr").nth(0)).to_contain_text("/orders/…")
    expect(page.locator("#routes tr").nth(0)).to_contain_text(emulator)
    expect(page.locator("#routes tr").nth(1)).to_contain_text("GET /health")
    expect(page.locator("#routes tr").nth(1)).to_contain_text("CORS: https://app.example.com")
    expect(page.locator("#routes tr").nth(2)).to_contain_text("API key: batch")
    expect(page.locator("#credentials")).to_contain_text("usable")
    expect(page.locator("#ready")).to_have_text("ready")
    expect(page.locator("#contact")).to_have_text("up to date")
    assert "AKIDEXAMPLE" not in page.content()


def test_a_request_appears_by_itself_and_a_refused_one_says_what_to_do(opened, operated):
    listener, _ = operated
    page = opened()
    expect(page.locator("#contact")).to_have_text("up to date")
    assert requests.get(f"{listener}/orders/health?secret=hush", timeout=10).status_code == 200
    first = page.locator("#requests tr").first
    expect(first).to_contain_text("GET /orders/health")
    expect(first).to_contain_text("200")
    assert requests.get(f"{listener}/health", headers={"host": "evil.example"}, timeout=10).status_code == 403
    why = page.locator("#requests tr.why").first
    expect(why).to_contain_text("host_not_allowed")
    expect(why).to_contain_text("add the name to allowed_hosts")
    assert "hush" not in page.content()
    rows = page.locator("#requests tr").count()
    page.get_by_label("only those that failed").check()
    assert page.locator("#requests tr").count() < rows
    expect(page.locator("#requests tr").first).to_contain_text("403")


def test_whatever_it_is_told_stays_text(opened, operated):
    """No client can send such a path, but a configuration may hold such a name."""
    _, admin = operated
    markup = "<img src=x onerror=\"document.title='taken'\">"

    def with_markup(value):
        if isinstance(value, dict):
            return {key: inner if key == "origin" else with_markup(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [with_markup(inner) for inner in value]
        return markup if isinstance(value, str) else value

    def answer(route):
        route.fulfill(json=with_markup(requests.get(route.request.url, timeout=10).json()))

    page = opened()
    expect(page.locator("#contact")).to_have_text("up to date")
    page.route(re.compile("/(status|routes|requests)$"), answer)
    for room in ("#credentials", "#routes", "#version"):
        expect(page.locator(room)).to_contain_text("onerror")
    page.reload()
    expect(page.locator("#requests")).to_contain_text("onerror")
    assert page.locator("img").count() == 0
    assert page.title() == "countersign"


def test_light_and_dark_differ_and_both_are_readable(opened):
    colours = {}
    for scheme in ("light", "dark"):
        page = opened(color_scheme=scheme)
        expect(page.locator("#contact")).to_have_text("up to date")
        colours[scheme] = page.evaluate(
            """() => { const of = (element) => getComputedStyle(element);
               return [of(document.body).backgroundColor, of(document.body).color, of(document.querySelector(".soft")).color]; }"""
        )
        background, *texts = (luminance(colour) for colour in colours[scheme])
        for text in texts:  # WCAG 2.2, 1.4.3
            lighter, darker = max(background, text), min(background, text)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, colours[scheme]
    assert colours["light"] != colours["dark"]


def luminance(colour: str) -> float:
    """The relative luminance of `rgb(r, g, b)`."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_says_when_it_lost_contact(browser, operated):
    _, admin = operated
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{admin}/")
    expect(page.locator("#contact")).to_have_text("up to date")
    context.set_offline(True)
    expect(page.locator("#contact")).to_contain_text("no contact with countersign: this is from")
    context.set_offline(False)
    expect(page.locator("#contact")).to_have_text("up to date")
    context.close()


def test_nobody_may_frame_it_or_run_anything_in_it(operated):
    _, admin = operated
    headers = requests.get(f"{admin}/", timeout=10).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
