"""The programs under test: the release binary in front of a strict upstream, and the emulator."""

import contextlib
import hashlib
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from judge import Caller
from upstream import Upstream

BINARY = os.environ["COUNTERSIGN"]
CALLER = Caller("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2lu/+session==")


def environment(caller: Caller) -> dict[str, str]:
    """What an ECS task or a shell would have, and nothing of this machine's."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_ACCESS_KEY_ID": caller.key,
        "AWS_SECRET_ACCESS_KEY": caller.secret,
        "AWS_EC2_METADATA_DISABLED": "true",
        **({"AWS_SESSION_TOKEN": caller.token} if caller.token else {}),
    }


#: What holds the ports that were given: bound, so that nobody else gets them, and never listening, so that
#: whoever sets SO_REUSEADDR can still listen there. Ours, tinyproxy and Prometheus do.
HELD: list[socket.socket] = []


def free_port() -> int:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    HELD.append(held)
    return held.getsockname()[1]


def until(done: Callable[[], bool], what: str, within: float = 60):
    end = time.monotonic() + within
    while not done():
        assert time.monotonic() < end, f"it takes more than {within} s until {what}"
        time.sleep(0.05)


def wait_for(port: int, process: subprocess.Popen):
    def listens() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    until(listens, f"it listens on {port}")


@contextlib.contextmanager
def running(command: list, *ports: int, **options):
    """The program, from when it listens on these ports to its clean end. It is gone afterwards, whatever failed."""
    options.setdefault("stdout", subprocess.DEVNULL)
    process = subprocess.Popen(command, **options)
    try:
        for port in ports:
            wait_for(port, process)
        yield process
        process.terminate()
        assert process.wait(60) == 0, "SIGTERM and a clean drain are 0"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def caller() -> Caller:
    return CALLER


@pytest.fixture(scope="session")
def proxy(tmp_path_factory, caller):
    """The port of a proxy whose only target is the strict upstream."""
    folder: Path = tmp_path_factory.mktemp("proxy")
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    port = free_port()
    with Upstream(caller, tls) as upstream:
        (folder / "t.toml").write_text(f"""
            listen = ["127.0.0.1:{port}"]
            admin = false
            upstream.ca_file = "ca.pem"

            [targets.all]
            url = "https://localhost:{upstream.port}"
            service = "lambda"
            region = "us-east-1"

            [[routes]]
            target = "all"

            [[routes]]
            path = "/digest"
            target = "all"
            payload = "client-digest"
        """)
        with running([BINARY, "run", "--config", folder / "t.toml"], port, env=environment(caller)):
            yield port


@pytest.fixture(scope="session")
def emulator(caller):
    """The URL of `countersign emulate`."""
    port = free_port()
    with running([BINARY, "emulate", "--listen", f"127.0.0.1:{port}"], port, env=environment(caller)):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def operated(tmp_path_factory, caller, emulator):
    """A proxy before the emulator, as an operator sees it: the URLs of its listener and its admin listener."""
    folder: Path = tmp_path_factory.mktemp("operated")
    port, admin = free_port(), free_port()
    (folder / "t.toml").write_text(f"""
        listen = ["127.0.0.1:{port}"]
        admin = "127.0.0.1:{admin}"
        api_keys.batch = {{ sha256 = "{hashlib.sha256(b"a key").hexdigest()}" }}

        [targets.function]
        url = "{emulator}"
        service = "lambda"
        region = "us-east-1"

        [[routes]]
        name = "orders"
        prefix = "/orders"
        strip_prefix = "/orders"
        target = "function"

        [[routes]]
        name = "health"
        path = "/health"
        methods = ["GET"]
        target = "function"
        cors = {{ origins = ["https://app.example.com"] }}

        [[routes]]
        name = "keyed"
        path = "/keyed"
        target = "function"
        api_keys = ["batch"]
    """)
    with running([BINARY, "run", "--config", folder / "t.toml"], port, admin, env=environment(caller)):
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}"
