"""Clients that know nothing of us get from `emulate` what a Function URL would answer."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

AWSCURL = Path(sys.executable).with_name("awscurl")


def awscurl(caller, service, *arguments):
    command = [AWSCURL, "--service", service, "--region", caller.region, "--access_key", caller.key]
    command += ["--secret_key", caller.secret, "--security_token", caller.token, "--include", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def botocore_client(caller, service, method, url, body=None):
    request = AWSRequest(method=method, url=url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(Credentials(caller.key, caller.secret, caller.token), service, caller.region).add_auth(request)
    ready = request.prepare()
    return requests.request(method, ready.url, headers=dict(ready.headers), data=ready.body, timeout=10)


def test_awscurl_is_let_in(emulator, caller):
    run = awscurl(caller, "lambda", f"{emulator}/health")
    assert '"status":"healthy"' in run.stdout.replace(" ", ""), run


def test_awscurl_posts(emulator, caller):
    run = awscurl(caller, "lambda", "-X", "POST", "-d", '{"n": 1}', f"{emulator}/process?b=2&a=1")
    assert "Data processed successfully" in run.stdout, run


def test_awscurl_for_another_service_is_refused(emulator, caller):
    run = awscurl(caller, "execute-api", f"{emulator}/health")
    assert "Credential should be scoped to correct service: 'lambda'." in run.stdout + run.stderr, run


def test_botocore_is_let_in(emulator, caller):
    answer = botocore_client(caller, "lambda", "POST", f"{emulator}/process?a=b%20c&a=1", b'{"n": 1}')
    assert answer.status_code == 200 and answer.json()["received"] == {"n": 1}


@pytest.mark.parametrize("method, path", [("GET", "/nothing"), ("DELETE", "/health")])
def test_unknown_paths_are_the_functions_404(emulator, caller, method, path):
    answer = botocore_client(caller, "lambda", method, f"{emulator}{path}", b"")
    assert answer.status_code == 404 and answer.json() == {"error": "Not Found", "method": method, "path": path}


def test_botocore_for_another_service_is_refused(emulator, caller):
    answer = botocore_client(caller, "execute-api", "GET", f"{emulator}/health")
    assert answer.status_code == 403
    assert answer.headers["x-amzn-ErrorType"] == "InvalidSignatureException"
    assert answer.json() == {"message": "Credential should be scoped to correct service: 'lambda'. "}


def test_unsigned_is_refused(emulator):
    answer = requests.get(f"{emulator}/health", timeout=10)
    assert answer.status_code == 403 and answer.headers["x-amzn-ErrorType"] == "AccessDeniedException"


def test_another_secret_is_refused(emulator, caller):
    wrong = dataclasses.replace(caller, secret="wrong")
    answer = botocore_client(wrong, "lambda", "GET", f"{emulator}/health")
    assert answer.status_code == 403 and answer.headers["x-amzn-ErrorType"] == "InvalidSignatureException"
