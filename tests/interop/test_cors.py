"""Pages of other sites in Debian's Chromium: a route's `cors` lets one in, its browser keeps the rules, and
another page reaches no function."""

import contextlib
import hashlib
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Error, expect, sync_playwright

from program import Program

KEY = "kv-5d1e07c3a9b24f68"

#: What a page sees of a request: its status, headers that it may read and its text, or that it may not.
FETCH = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return [answer.status, answer.headers.get("x-total"), answer.headers.get("x-hidden"), await answer.text()];
  } catch (error) { return [error.name]; }
}"""


@contextlib.contextmanager
def serving(answer):
    """An HTTP server on loopback whose requests `answer` sees; its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            headers, body = answer(self)
            self.send_response(200)
            for name, value in {"content-length": len(body), "cache-control": "no-store", **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_OPTIONS = handle_any

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def asked():
    """What the function was asked, so far."""
    return []


@pytest.fixture
def pages(tmp_path, asked, caller):
    """A page that the route names and one that it does not, both with the URL of the proxy."""

    def function(request):
        asked.append(f"{request.command} {request.path}")
        own = {"access-control-allow-origin": "https://elsewhere.example", "x-total": 7, "x-hidden": 8}
        return own, b"of the function"

    def page(_):
        return {"content-type": "text/html"}, b"<!doctype html><title>a page</title>"

    with serving(function) as port, serving(page) as ours, serving(page) as theirs:
        config = f"""
            [api_keys.app]
            sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"

            [targets.function]
            url = "http://127.0.0.1:{port}"
            service = "lambda"
            region = "us-east-1"

            [[routes]]
            target = "function"

            [[routes]]
            prefix = "/orders"
            target = "function"
            methods = ["GET", "POST", "PUT"]
            api_keys = ["app"]
            cors = {{ origins = ["http://localhost:{ours}"], headers = ["content-type", "x-api-key"], expose_headers = ["x-total"] }}
        """  # noqa: E501
        variables = {"AWS_ACCESS_KEY_ID": caller.key, "AWS_SECRET_ACCESS_KEY": caller.secret}
        with Program(tmp_path, config, **variables) as program, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"], timeout=120_000
            )
            opened = [browser.new_page() for _ in range(2)]
            for page, port in zip(opened, (ours, theirs)):
                page.goto(f"http://localhost:{port}/")
            yield *opened, program
            browser.close()


def fetch(page, program, path, **options):
    return page.evaluate(FETCH, [program.url + path, options])


JSON = {"content-type": "application/json", "x-api-key": KEY}


def test_a_page_that_the_route_names_passes_its_preflight_and_reads_the_answer(pages, asked):
    ours, _, program = pages
    told = fetch(ours, program, "/orders", method="PUT", headers=JSON, body="{}")
    assert told == [200, "7", None, "of the function"]
    assert asked == ["PUT /orders"], "the preflight is answered by countersign"
    assert fetch(ours, program, "/orders", headers=JSON)[0] == 200


def test_a_page_reads_why_it_was_turned_away(pages, asked):
    ours, _, program = pages
    status, *_, text = fetch(ours, program, "/orders")
    assert status == 403 and "api_key_required" in text
    assert asked == []


def test_a_browser_sends_no_header_that_the_route_does_not_name(pages, asked):
    ours, _, program = pages
    assert fetch(ours, program, "/orders", headers={**JSON, "x-other": "1"}) == ["TypeError"]
    assert fetch(ours, program, "/orders", method="DELETE", headers=JSON) == ["TypeError"]
    assert asked == []


def test_any_other_page_reaches_no_function(pages, asked):
    ours, theirs, program = pages
    assert fetch(theirs, program, "/orders", method="PUT", headers=JSON, body="{}") == ["TypeError"]
    assert fetch(theirs, program, "/orders", method="POST", mode="no-cors", body="a=b")[0] == 0
    # A route without `cors` is closed to both, for a form and an image too, which have no preflight.
    for page in (ours, theirs):
        assert fetch(page, program, "/else", method="POST", body="a=b") == ["TypeError"]
        assert fetch(page, program, "/else", method="POST", mode="no-cors", body="a=b")[0] == 0
        page.evaluate(
            """url => new Promise((done) => {
                 const image = new Image(); image.onerror = image.onload = () => done(); image.src = url; })""",
            f"{program.url}/else/image",
        )
    assert asked == []
    submit = """url => { const form = document.createElement("form");
                 form.method = "post"; form.action = url; document.body.append(form); form.submit(); }"""
    with contextlib.suppress(Error):  # the page that it was sent from goes away under it
        theirs.evaluate(submit, f"{program.url}/orders")
    expect(theirs.locator("body")).to_contain_text("origin_not_allowed", timeout=30_000)
    # For the refusal that it shows, Chromium asks for an icon: a page of the proxy's own by then.
    assert [what for what in asked if what != "GET /favicon.ico"] == []
