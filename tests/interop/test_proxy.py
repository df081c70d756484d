"""What leaves the proxy is signed as AWS's own code signs it, and otherwise as it came."""

import hashlib
import json
import socket
import subprocess

import pytest
import requests

PATHS = [
    "/", "//", "/a/b-c_d.e~f", "/a+b", "/a//b", "//a/b", "/caf%C3%A9", "/caf%c3%a9", "/a/../b", "/a/./b",
    "/(x)!*'$", "/a%2Fb", "/a%", "/a%20b", "/foo//", "/a/%2e%2e/b", "/a@b:c,d;e=f", "/%41bc", "/a/b/", "/a/..",
    "/%00", "/%FF", "/caf\u00c3\u00a9",
]  # fmt: skip
QUERIES = [
    "", "a=1", "b=2&a=1&c=3", "a=2&a=1&a=3", "flag&x=1", "a=&b=", "a=b=c", "q=a%20b", "q=a+b", "q=a%2Bb",
    "u=http://x/y,z@w", "u=a%2fb", "u=%7E*~", "a=1;b=2", "a-b=1&a=2&a%20=3", "q=caf%C3%A9", "q=caf%E9", "q=%FF",
    "a=1&&b=2", "&a=1&", "x=!'()*", "%zz=%", "k=%25",
]  # fmt: skip
#: What may not go out as it came, and how it goes out; all else goes byte for byte.
REWRITTEN = {
    "//": "/", "/a//b": "/a/b", "//a/b": "/a/b", "/a/../b": "/b", "/a/./b": "/a/b", "/foo//": "/foo/", "/a/..": "/",
    "?q=a+b": "?q=a%20b", "?a=1&&b=2": "?a=1&b=2", "?&a=1&": "?a=1",
}  # fmt: skip
HEADERS = [
    ["X-Amz-Meta-A:   a   b   "], ["X-Amz-Meta-B: 1", "X-Amz-Meta-B: 2"], ["X-Amz-Invocation-Type: Event"],
    ["Authorization: Bearer client"], ["X-Amz-Date: 20200101T000000Z", "X-Amz-Content-Sha256: deadbeef"],
    ["X-Amz-Security-Token: stolen"], ["Content-Type: text/plain; charset=utf-8"], ["X-Empty:"],
]  # fmt: skip


def send(port: int, method: str, target: str, headers=(), body=b"") -> dict:
    """One request by its bytes: no library in between that could mend it."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, rest = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    assert status == 200, f"{status}: {rest[:500]!r}"
    return json.loads(rest) if rest else {}


@pytest.mark.parametrize("path", PATHS)
def test_path(proxy, path):
    assert send(proxy, "GET", path)["target"] == REWRITTEN.get(path, path)


@pytest.mark.parametrize("query", QUERIES)
def test_query(proxy, query):
    assert send(proxy, "GET", f"/?{query}")["target"] == "/" + REWRITTEN.get(f"?{query}", f"?{query}")


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: headers[0].split(":")[0])
def test_headers(proxy, headers):
    seen = send(proxy, "GET", "/", headers)
    assert [name for name, _ in seen["headers"]].count("authorization") == 1


def test_clients_own_authorization_is_moved(proxy):
    seen = dict(send(proxy, "GET", "/", ["Authorization: Bearer client"])["headers"])
    assert seen["x-forwarded-authorization"] == "Bearer client"


def test_presign_parameters_do_not_pass(proxy):
    target = "/?a=1&X-Amz-Signature=0&x-amz-credential=me&X-Amz-Security-Token=t&b=2"
    assert send(proxy, "GET", target)["target"] == "/?a=1&b=2"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("body", [b"", b"hello", bytes(range(256)) * 8], ids=["empty", "text", "binary"])
def test_body(proxy, method, body):
    assert send(proxy, method, "/", ["Content-Type: application/octet-stream"], body)["length"] == len(body)


def test_head(proxy):
    answer = requests.head(f"http://127.0.0.1:{proxy}/a", timeout=10)
    assert answer.status_code == 200 and int(answer.headers["content-length"]) > 0


def test_large_body(proxy):
    assert send(proxy, "POST", "/", (), b"x" * (5 << 20))["length"] == 5 << 20


def test_chunked_body_leaves_with_a_length(proxy):
    chunks = iter([b"hel", b"lo", b"!"])
    seen = requests.post(f"http://127.0.0.1:{proxy}/", data=chunks, timeout=10).json()
    assert (seen["faults"], seen["framing"], seen["length"]) == ([], "length", 6)


def test_body_with_the_clients_digest_streams(proxy):
    body = b"y" * 300_000
    headers = {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    answer = requests.post(f"http://127.0.0.1:{proxy}/digest", data=iter([body]), headers=headers, timeout=10)
    seen = answer.json()
    assert (seen["faults"], seen["framing"], seen["length"]) == ([], "chunked", len(body))


def test_cookies_come_back_one_by_one(proxy):
    answer = requests.get(f"http://127.0.0.1:{proxy}/", timeout=10)
    assert answer.raw.headers.getlist("set-cookie") == ["a=1; Path=/", "b=2"]


def test_requests_in_a_session(proxy):
    with requests.Session() as session:
        for number in range(50):
            seen = session.post(f"http://127.0.0.1:{proxy}/n/{number}", json={"n": number}, timeout=10).json()
            assert seen["faults"] == [] and seen["target"] == f"/n/{number}"


@pytest.mark.parametrize("extra", [[], ["-d", "a=1"], ["-T", __file__], ["-H", "Expect: 100-continue", "-d", "x=1"]])
def test_curl(proxy, extra):
    command = ["curl", "-sS", "--fail-with-body", "-m", "10", *extra, f"http://127.0.0.1:{proxy}/c%20d?e=f+g"]
    run = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(run.stdout)["faults"] == []
