"""What the process takes at most: each bound is filled by clients that mean harm, and the memory
that this costs is held against the formula in README ("Reliability").

    COUNTERSIGN=target/release/countersign python3 tests/load/memory.py
"""

import contextlib
import http.client
import os
import pathlib
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time

KIB, MIB = 1024, 1024 * 1024
PROGRAM = os.environ.get("COUNTERSIGN", "target/release/countersign")

HEADER_BYTES = 64 * KIB
MANY = 4000  # connections that are only open
HEADS = 1000  # connections amid a head
BODIES = 8 * MIB
STALLED = 100  # answers that nobody reads

# The formula: what README promises.
START = 24 * MIB  # 8 MiB as released
PER_CONNECTION = 16 * KIB
PER_HEAD = HEADER_BYTES * 5 // 4  # it is read into a buffer that doubles
PER_BODY_BYTE = 2
PER_ANSWER = 320 * KIB
MIRRORS, PER_MIRROR = 64, 64 * KIB
MIRRORED_ANSWERS = 24 * MIB
COMPARING = 48 * MIB
LOG = 3 * MIB

# Ports that nobody else is given meanwhile: bound and never listening, for countersign sets SO_REUSEADDR.
HELD = []


class Target:
    """Takes every request and answers with what `answer` says; holds all connections."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        self.beside = b""  # what a mirror answers; nothing: never
        self.held = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            self.held.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError):
            while request := connection.recv(64 * KIB):
                if b" /beside/" in request:
                    connection.sendall(self.beside)
                elif callable(self.answer):
                    self.answer(connection)
                elif self.answer:
                    connection.sendall(self.answer)

    def let_go(self):
        for connection in self.held:
            connection.close()
        self.held.clear()


class Program:
    """The program with a route to `target`."""

    def __init__(self, target, folder):
        file = pathlib.Path(folder, "load.toml")
        self.port = free_port()
        file.write_text(f"""
listen = ["127.0.0.1:{self.port}"]
admin = false
access_log = "errors"
[limits]
connections = 5000
in_flight = 5000
header_bytes = "{HEADER_BYTES // KIB}KiB"
buffered_bodies = "{BODIES // MIB}MiB"
[targets.only]
url = "http://127.0.0.1:{target.port}"
service = "lambda"
region = "us-east-1"
[targets.beside]
url = "http://127.0.0.1:{target.port}/beside"
service = "lambda"
region = "us-east-1"
[[routes]]
target = "only"
max_body = "1MiB"
[[routes]]
target = "only"
prefix = "/mirrored"
mirror = {{ target = "beside" }}
""")
        environment = {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.process = subprocess.Popen(
            [PROGRAM, "run", "--config", file], env=environment, stdout=subprocess.PIPE
        )  # which nobody reads
        until(lambda: self.ask(), "it starts")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port))

    def ask(self):
        """Whether a request on a connection of its own is answered."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            client.request("GET", "/")
            return client.getresponse().status in (200, 503)
        except OSError:
            return False
        finally:
            client.close()

    def most(self):
        """The most memory that it has had."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIB
        raise AssertionError("it has ended")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def settled(self):
        """Its memory once that does not grow any more."""
        last = -1
        while (now := self.most()) > last:
            last = now
            time.sleep(0.3)
        return now


def free_port():
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    HELD.append(held)
    return held.getsockname()[1]


def until(done, what, patience=60):
    end = time.monotonic() + patience
    while not done():
        assert time.monotonic() < end, f"it takes too long until {what}"
        time.sleep(0.05)


def idle_connections(program, _):
    clients = [program.connect() for _ in range(MANY)]
    until(lambda: program.descriptors() > MANY, "all are accepted")
    began = time.monotonic()
    assert all(program.ask() for _ in range(100))
    took = time.monotonic() - began
    assert took < 10, f"100 requests beside {MANY} idle connections took {took:.1f} s"
    return clients, MANY * PER_CONNECTION


def log_lines_that_nobody_reads(program, _):
    client = http.client.HTTPConnection("127.0.0.1", program.port, timeout=10)
    for _ in range(2000):
        client.request("GET", "/" + "a" * 2000, headers={"host": "evil.example"})
        answer = client.getresponse()
        assert answer.status == 403 and answer.read()
    return [client.sock], LOG + PER_CONNECTION


def heads_without_end(program, _):
    head = b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * (HEADER_BYTES - 2 * KIB)
    clients = [program.connect() for _ in range(HEADS)]
    for client in clients:
        client.sendall(head)
    return clients, HEADS * (PER_CONNECTION + PER_HEAD)


def bodies(program, target, chunks):
    """Bodies in these chunks until there is no room for more; none is answered."""
    target.answer = b""
    head = b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    clients = []
    answers = []

    def send(client):
        with contextlib.suppress(OSError):
            client.sendall(head + chunks + b"0\r\n\r\n")
        with contextlib.suppress(OSError):
            answers.append(client.recv(12))

    for _ in range(BODIES // MIB + 4):
        clients.append(program.connect())
        threading.Thread(target=send, args=clients[-1:], daemon=True).start()
    until(lambda: b"HTTP/1.1 503" in answers, "the room for bodies is full")
    return clients, BODIES * PER_BODY_BYTE + len(clients) * (PER_CONNECTION + PER_HEAD)


def one_byte_chunks(program, target):
    return bodies(program, target, b"1\r\nx\r\n" * (MIB - KIB))


def chunks_in_much_padding(program, target):
    """A chunk that is just worth keeping, and much around it that is no body."""
    frame = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    padding = b"0" * (59 * KIB) + b"1\r\nx\r\n"
    return bodies(program, target, (frame + padding) * 255)


def answers_that_nobody_reads(program, target):
    block = b"x" * MIB

    def endless(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
        while True:
            connection.sendall(block)

    target.answer = endless
    clients = []
    for _ in range(STALLED):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
        client.connect(("127.0.0.1", program.port))
        client.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        clients.append(client)
    time.sleep(2)
    return clients, STALLED * (PER_CONNECTION + PER_ANSWER)


def json_answer(body):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def mirrored(program, body, count):
    """So many clients of a route with a mirror."""
    clients = []
    for _ in range(count):
        client = http.client.HTTPConnection("127.0.0.1", program.port, timeout=10)
        client.request("GET", "/mirrored")
        assert client.getresponse().read() == body
        clients.append(client.sock)
    held = MIRRORED_ANSWERS + MIRRORS * PER_MIRROR
    return clients, held + len(clients) * PER_CONNECTION + PER_ANSWER


def mirrors_that_never_answer(program, target):
    """Each has an answer to compare with, as large as may be kept."""
    body = b"x" * (MIB - KIB)
    target.answer = json_answer(body)
    return mirrored(program, body, MIRRORS + 36)


def answers_that_are_hard_to_compare(program, target):
    """As many values as there is room for, and each of them differs in how it is written."""
    count = MIB // 12
    lines = b"{%s}" % b",".join(b'"%06x":0' % number for number in range(count))
    others = b"{%s}" % b",".join(b'"%06x":-0' % number for number in range(count))
    target.answer, target.beside = json_answer(lines), json_answer(others)
    clients, allowed = mirrored(program, lines, 20)
    time.sleep(2)
    return clients, allowed + COMPARING


def measure(name, fill):
    """One bound filled in a process of its own, so that nothing freed hides what is taken."""
    target = Target()
    with tempfile.TemporaryDirectory() as folder:
        program = Program(target, folder)
        try:
            before = program.settled()
            began = time.monotonic()
            clients, allowed = fill(program, target)
            took = program.settled() - before
            print(
                f"{name:28} start {before / MIB:5.1f} MiB   took {took / MIB:6.1f} MiB   "
                f"allowed {allowed / MIB:6.1f} MiB   {len(clients):5} clients, "
                f"{took / len(clients) / KIB:7.1f} KiB each   {time.monotonic() - began:4.1f} s",
                flush=True,
            )
            assert before <= START, "it starts larger than it should"
            for client in clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
                client.close()
            target.let_go()
            target.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
            until(lambda: program.descriptors() < 40, "all descriptors are given back")
            assert program.ask(), "it does not serve any more"
            return took <= allowed
        finally:
            program.process.terminate()
            program.process.wait(60)


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 3 * MANY:
        sys.exit(f"{3 * MANY} descriptors are needed, and the hard limit is {hard}")
    failed = [
        fill.__name__
        for fill in (
            idle_connections,
            log_lines_that_nobody_reads,
            heads_without_end,
            one_byte_chunks,
            chunks_in_much_padding,
            answers_that_nobody_reads,
            mirrors_that_never_answer,
            answers_that_are_hard_to_compare,
        )
        if not measure(fill.__name__.replace("_", " "), fill)
    ]
    if failed:
        sys.exit(f"more than README says: {failed}")


if __name__ == "__main__":
    main()
