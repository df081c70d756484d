"""`upstream.proxy`: the target is reached through tinyproxy, by CONNECT."""

import shutil
import ssl
import subprocess

import pytest
import requests
import trustme

from conftest import BINARY, environment, free_port, running, wait_for
from upstream import Upstream

#: A name that only the proxy resolves: what it reaches, nobody else can have reached.
NAME = "target.test"


@pytest.fixture
def tinyproxy(tmp_path):
    """A real proxy with a password, whose view of /etc/hosts is its own."""
    for tool in ("tinyproxy", "unshare"):
        assert shutil.which(tool), f"install {tool}"
    port = free_port()
    (tmp_path / "hosts").write_text(f"127.0.0.1 localhost {NAME}\n")
    (tmp_path / "tinyproxy.conf").write_text(
        f'Port {port}\nListen 127.0.0.1\nTimeout 60\nLogFile "{tmp_path}/tinyproxy.log"\n'
        f"LogLevel Connect\nMaxClients 20\nBasicAuth user secret\n"
    )
    command = f"mount --bind {tmp_path}/hosts /etc/hosts && exec tinyproxy -d -c {tmp_path}/tinyproxy.conf"
    process = subprocess.Popen(["unshare", "-m", "sh", "-c", command], stdout=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield port, tmp_path / "tinyproxy.log"
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("password, status", [("secret", 200), ("wrong", 502)])
def test_a_target_behind_a_proxy(tinyproxy, caller, tmp_path, password, status):
    through, log = tinyproxy
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    port = free_port()
    with Upstream(caller, tls) as upstream:
        (tmp_path / "t.toml").write_text(f"""
            listen = ["127.0.0.1:{port}"]
            admin = false
            upstream = {{ ca_file = "ca.pem", proxy = "http://user:{password}@127.0.0.1:{through}" }}

            [targets.all]
            url = "https://{NAME}:{upstream.port}"
            service = "lambda"
            region = "us-east-1"

            [[routes]]
            target = "all"
        """)
        command = [BINARY, "run", "--config", tmp_path / "t.toml"]
        with running(command, port, env=environment(caller), stdout=subprocess.PIPE, text=True) as process:
            answer = requests.get(f"http://127.0.0.1:{port}/a?b=c", timeout=10)
        assert answer.status_code == status, answer.text
        assert password not in process.stdout.read()
    if status == 200:
        assert answer.json()["faults"] == [] and f"CONNECT {NAME}:{upstream.port}" in log.read_text()
    else:
        assert answer.json()["code"] == "proxy_refused"
