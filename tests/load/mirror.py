"""What a mirror costs those who do not ask for it: clients of a route whose mirror is dead, or takes
10 s for every answer, against those of the same route without one. Five paired runs each; the median of
the ratios of their p50 is held to 1.10, and no request may fail.

    COUNTERSIGN=target/release/countersign python3 tests/load/mirror.py
"""

import contextlib
import http.client
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import threading
import time

PROGRAM = os.environ.get("COUNTERSIGN", "target/release/countersign")
RUNS = 5
REQUESTS = 300  # of a run
ANSWER_TIME = 0.005  # s, at least; a warm Function URL takes longer
OVERHEADS = 12  # the answer time in overheads of client and proxy: the same share of it on a slow machine
SLOW = 10  # s
MOST = 1.10
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{\"id\":7}"

# Ports that nobody else is given meanwhile: bound and never listening, for countersign sets SO_REUSEADDR.
HELD = []


class Target:
    """Answers each request after a time."""

    def __init__(self, after):
        self.after = after
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError):
            while connection.recv(64 * 1024):  # a request without a body comes in one piece
                time.sleep(self.after)
                connection.sendall(ANSWER)


class Program:
    """The program with a route to `target`, and a mirror beside it."""

    def __init__(self, folder, target, mirror=None):
        self.port, self.admin = free_port(), free_port()
        file = pathlib.Path(folder, f"{self.port}.toml")
        mirrored = 'mirror = { target = "beside" }' if mirror else ""
        file.write_text(f"""
listen = ["127.0.0.1:{self.port}"]
admin = "127.0.0.1:{self.admin}"
access_log = "off"
[targets.only]
url = "http://127.0.0.1:{target}"
service = "lambda"
region = "us-east-1"
[targets.beside]
url = "http://127.0.0.1:{mirror or target}"
service = "lambda"
region = "us-east-1"
[[routes]]
target = "only"
{mirrored}
""")
        environment = {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.process = subprocess.Popen(
            [PROGRAM, "run", "--config", file], env=environment, stdout=subprocess.DEVNULL
        )
        self.wait()

    def wait(self):
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", self.port)).close()
            assert time.monotonic() < end, "it does not start"
            time.sleep(0.05)

    def p50(self):
        """The median time of requests one after another, in seconds."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        took = []
        for _ in range(REQUESTS):
            began = time.perf_counter()
            client.request("GET", "/orders/7")
            answer = client.getresponse()
            assert answer.read() == b'{"id":7}' and answer.status == 200, "a request failed"
            took.append(time.perf_counter() - began)
        client.close()
        return statistics.median(took)

    def mirrored(self, outcome):
        """How many mirrored requests came to this."""
        client = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        client.request("GET", "/metrics")
        for line in client.getresponse().read().decode().splitlines():
            if line.startswith("countersign_mirrored_requests_total") and f'"{outcome}"' in line:
                return int(line.split()[-1])
        return 0


def free_port():
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    HELD.append(held)
    return held.getsockname()[1]


def main():
    target, slow = Target(ANSWER_TIME), Target(SLOW)
    with tempfile.TemporaryDirectory() as folder:
        alone = Program(folder, target.port)
        beside = {
            "dead": Program(folder, target.port, mirror=free_port()),
            "slow": Program(folder, target.port, mirror=slow.port),
        }
        programs = [alone, *beside.values()]
        try:
            for program in programs:
                program.p50()  # warm
            target.after = max(ANSWER_TIME, OVERHEADS * (alone.p50() - ANSWER_TIME))
            print(f"each answer takes {target.after * 1e3:.1f} ms")
            ratios = {name: [] for name in beside}
            for run in range(RUNS):
                for name, program in beside.items():
                    # Each goes first in turn: a machine may get slower meanwhile.
                    pair = [alone, program] if run % 2 else [program, alone]
                    p50 = {each: each.p50() for each in pair}
                    ratios[name].append(p50[program] / p50[alone])
                    print(f"{name}: {p50[alone] * 1e3:.2f} ms alone, {p50[program] * 1e3:.2f} ms with it")
            # Each did what it was there for.
            assert beside["dead"].mirrored("failed") > REQUESTS, "the dead one was not tried"
            assert beside["slow"].mirrored("dropped") > REQUESTS, "the slow one was not full"
            for name, found in ratios.items():
                median = statistics.median(found)
                print(f"{name}: {median:.3f} of the p50 without a mirror, median of {RUNS} paired runs")
                assert median <= MOST, f"a {name} mirror makes its clients slower: {found}"
        finally:
            for program in programs:
                program.process.terminate()
                program.process.wait(60)


if __name__ == "__main__":
    main()
