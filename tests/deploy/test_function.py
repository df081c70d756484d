"""The sample function answers as the emulator's does, to the event that the emulator builds."""
import contextlib
import http.server
import importlib.util
import json
import re
import subprocess
import threading

import pytest

from conftest import ROOT

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def handler():
    spec = importlib.util.spec_from_file_location("app", ROOT / "deploy/aws/function/app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


class Runtime(http.server.BaseHTTPRequestHandler):
    """What a Lambda runtime emulator does: an event in, the function's return value out."""

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps(handler()(event, None)).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def emulator(countersign, *more):
    command = [countersign, "emulate", "--listen", "127.0.0.1:0", *more]
    process = subprocess.Popen(
        command, env=CREDENTIALS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                break
        else:
            pytest.fail("it did not start")
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def urls(countersign):
    runtime = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    threading.Thread(target=runtime.serve_forever, daemon=True).start()
    with emulator(countersign) as built_in:
        to = f"http://127.0.0.1:{runtime.server_port}"
        with emulator(countersign, "--invoke", to) as sample:
            yield built_in, sample
    runtime.shutdown()


def answer(countersign, method, url, *more):
    command = [countersign, "call", method, url, "-i", "--service", "lambda", *more]
    done = subprocess.run(
        [*command, "--region", "us-east-1"], env=CREDENTIALS, capture_output=True, timeout=30
    )
    head, _, body = done.stdout.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = head.decode().lower().splitlines()
    kind = [line for line in lines if line.startswith("content-type:")]
    return lines[0], kind, json.loads(body)


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/health", []),
        ("POST", "/process", ["-H", "content-type: application/json", "-d", '{"a": [1, "é"]}']),
        ("POST", "/process", ["-H", "content-type: text/plain", "-d", "no json"]),
        ("POST", "/process", ["-H", "content-type: application/octet-stream", "-d", "7"]),
        ("POST", "/process", []),
        ("POST", "/health", []),
        ("GET", "/process", []),
        ("GET", "/no/such", []),
    ],
)
def test_answers_as_the_emulator_does(countersign, urls, method, path, more):
    built_in, sample = (answer(countersign, method, url + path, *more) for url in urls)
    assert sample == built_in
