"""The image as an orchestrator runs it: no root, nothing to write to, no capabilities; with
podman and runc, on this machine's network, for bridges are not everywhere. `.ci/image` builds it."""
import contextlib
import datetime
import http.client
import http.server
import json
import os
import socket
import struct
import subprocess
import threading
import time

import pytest

from conftest import ROOT, output_of

IMAGE = "localhost/countersign:dev"
STORAGE = ROOT / "target/image"
ENGINE = ["--storage-driver", "vfs", "--root", STORAGE / "storage", "--runroot", STORAGE / "run"]
PODMAN = ["podman", *ENGINE, "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
RUN = ["--cgroups", "no-conmon", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
CLOSED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
LIMIT = 20_000_000

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE"

pytestmark = pytest.mark.skipif(
    os.environ.get("IMAGE") != "built", reason="no image: .ci/image builds it, IMAGE=built says so"
)


# Ports that nobody else is given meanwhile: bound and never listening, for countersign sets SO_REUSEADDR.
HELD = []


def free_port():
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    HELD.append(held)
    return held.getsockname()[1]


def until(what, within=60.0):
    end = time.monotonic() + within
    while time.monotonic() < end:
        if answer := what():
            return answer
        time.sleep(0.1)
    pytest.fail(f"not within {within} s")


def ask(port, path="/health", method="GET"):
    """Status and body; nothing where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return None
    finally:
        connection.close()


class Container:
    """One that runs."""

    def __init__(self, name, *arguments, environment=(), options=()):
        self.name = f"countersign-test-{os.getpid()}-{name}"
        variables = [part for pair in environment for part in ("--env", "=".join(pair))]
        command = [*PODMAN, "run", "--detach", "--name", self.name, "--network", "host"]
        output_of(*command, *RUN, *CLOSED, *options, *variables, IMAGE, *arguments)

    def podman(self, verb, *more):
        command = [str(part) for part in (*PODMAN, verb, *more)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def inside(self, *command):
        return self.podman("exec", self.name, *command)

    def healthy(self):
        """As an engine asks: the image's own HEALTHCHECK."""
        return self.podman("healthcheck", "run", self.name).returncode == 0

    def state(self):
        done = self.podman("inspect", self.name)
        return json.loads(done.stdout)[0]

    def logs(self):
        done = self.podman("logs", self.name)
        return done.stdout + done.stderr

    def stop(self):
        """SIGTERM, and the exit code."""
        self.podman("kill", "--signal", "TERM", self.name)
        return int(self.podman("wait", self.name).stdout)

    def remove(self):
        self.podman("rm", "--force", "--time", "1", self.name)


@contextlib.contextmanager
def container(*arguments, **options):
    made = Container(*arguments, **options)
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def function():
    """The emulator, in a container of its own."""
    port = free_port()
    known = [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_SESSION_TOKEN", TOKEN)]
    arguments = ["emulate", "--listen", f"127.0.0.1:{port}"]
    with container("function", *arguments, environment=known):
        until(lambda: ask(port))
        yield port


class Credentials:
    """The endpoint that ECS has in each task."""

    def __init__(self, lifetime):
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                now = datetime.datetime.now(datetime.timezone.utc)
                expires = now + datetime.timedelta(seconds=lifetime)
                answer = {
                    "AccessKeyId": KEY,
                    "SecretAccessKey": SECRET,
                    "Token": TOKEN,
                    "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
                }
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def variables(self):
        url = f"http://127.0.0.1:{self.server.server_port}/credentials"
        return [("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def countersign(url, credentials):
    listen, admin = free_port(), free_port()
    table = f"""
        listen = ["127.0.0.1:{listen}"]
        admin = "127.0.0.1:{admin}"
        [targets.function]
        url = "{url}"
        service = "lambda"
        region = "us-east-1"
        [[routes]]
        target = "function"
    """
    environment = [*credentials.variables(), ("COUNTERSIGN_CONFIG_TOML", table)]
    with container("proxy", environment=environment) as made:
        yield made, listen, admin


def test_is_small_and_runs_as_nobody():
    inspected = json.loads(output_of("buildah", *ENGINE, "inspect", "--type", "image", IMAGE))
    config = inspected["OCIv1"]["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/countersign"]
    assert "HOME=/home/nonroot" in config["Env"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    listed = json.loads(output_of(*PODMAN, "images", "--format", "json", IMAGE))
    print(f"the image: {listed[0]['Size']} bytes")
    assert listed[0]["Size"] < LIMIT


def test_turns_healthy_signs_and_ends(function):
    credentials = Credentials(lifetime=3600)
    # `localhost` is a name: the C library that is linked in looks it up.
    with countersign(f"http://localhost:{function}", credentials) as (made, listen, admin):
        until(made.healthy)
        assert made.inside("/countersign", "health", "--ready").returncode == 0
        status, body = ask(listen)
        assert (status, json.loads(body)["status"]) == (200, "healthy"), made.logs()
        assert ask(listen, "/process", "POST")[0] == 200
        assert ask(listen, "/none")[0] == 404
        process = made.state()["State"]["Pid"]
        with open(f"/proc/{process}/status") as file:
            facts = dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)
        assert facts["Uid"].split() == ["65532"] * 4 and facts["Gid"].split() == ["65532"] * 4
        assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
        assert facts["NoNewPrivs"] == "1"
        print(f"resident: {facts['VmRSS'].strip()}")
        assert made.stop() == 0, made.logs()
    credentials.close()


def test_stays_healthy_without_credentials_past_their_expiry(function):
    credentials = Credentials(lifetime=12)
    with countersign(f"http://127.0.0.1:{function}", credentials) as (made, listen, admin):
        until(made.healthy)
        assert ask(listen)[0] == 200, made.logs()
        credentials.close()
        until(lambda: ask(admin, "/readyz")[0] == 503, within=40)  # they have expired
        for _ in range(5):
            # An engine counts three failures in a row.
            assert any(made.healthy() for _ in range(3)), "a fleet would be killed"
            time.sleep(0.5)
        assert made.inside("/countersign", "health", "--ready").returncode == 69
        assert ask(listen)[0] == 200, "whether the old ones will do, the target says"
        assert made.state()["State"]["Status"] == "running"
        assert made.stop() == 0, made.logs()


def test_is_not_healthy_before_there_were_credentials():
    with container("proxy", environment=[("AWS_EC2_METADATA_DISABLED", "true")], options=(
        "--env", "COUNTERSIGN_TARGET=https://abc123.lambda-url.us-east-1.on.aws",
        "--env", f"COUNTERSIGN_LISTEN=127.0.0.1:{free_port()}",
        "--env", f"COUNTERSIGN_ADMIN=127.0.0.1:{free_port()}",
    )) as made:
        until(lambda: "countersign is listening" in made.logs())
        assert not made.healthy()
        assert made.stop() == 0, made.logs()


def test_finds_targets_by_the_name_servers_of_the_machine():
    """The C library is linked in, and must still ask who /etc/resolv.conf names."""
    asked = []
    try:
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind(("127.8.4.80", 53))
    except OSError as error:
        pytest.skip(f"no name server can listen here: {error}")

    def serve():
        while True:
            try:
                query, peer = names.recvfrom(512)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
            asked.append(query[12 : end - 5])
            answers = 1 if kind == 1 else 0
            head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, answers, 0, 0)
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + bytes([127, 0, 0, 1])
            names.sendto(head + query[12:end] + record * answers, peer)

    threading.Thread(target=serve, daemon=True).start()
    resolv = STORAGE / "resolv.conf"
    resolv.write_text("nameserver 127.8.4.80\n")
    command = [*PODMAN, "run", "--rm", "--network", "host", *RUN, *CLOSED]
    command += ["--volume", f"{resolv}:/etc/resolv.conf:ro", "--env", f"AWS_ACCESS_KEY_ID={KEY}"]
    command += ["--env", f"AWS_SECRET_ACCESS_KEY={SECRET}"]
    command += ["--env", "COUNTERSIGN_TARGET=https://abc123.lambda-url.us-east-1.on.aws"]
    command += [IMAGE, "check", "--connect"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    names.close()
    assert any(b"lambda-url" in name for name in asked), done.stdout + done.stderr
    assert "refused" in done.stdout + done.stderr  # at 127.0.0.1:443: the name was found
