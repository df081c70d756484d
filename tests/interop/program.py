"""The program with a configuration and an environment of a test's own; every line it writes is kept at
`trace`, and searched for what must not be in it."""

import os
import re
import threading
import time
from pathlib import Path

import requests

from conftest import BINARY, free_port, running

SIGNATURE = re.compile(r"[0-9a-f]{64}")


def one_target(port: int) -> str:
    """A configuration that sends everything to one http target."""
    return f"""
        [targets.all]
        url = "http://127.0.0.1:{port}"
        service = "lambda"
        region = "us-east-1"

        [[routes]]
        target = "all"
    """


class Program:
    def __init__(self, folder: Path, config: str, **variables: str):
        self.port, self.admin, self.log = free_port(), free_port(), folder / "log"
        listen = f'listen = ["127.0.0.1:{self.port}"]\nadmin = "127.0.0.1:{self.admin}"\nlog = "trace"\n'
        self.file = folder / "countersign.toml"
        self.file.write_text(listen + config)
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true", **variables
        }  # fmt: skip
        self.command = [BINARY, "run", "--config", self.file]

    def __enter__(self):
        with self.log.open("wb") as log:
            self._running = running(self.command, self.port, self.admin, env=self.environment, stdout=log, stderr=log)
            self.process = self._running.__enter__()
        return self

    def __exit__(self, *error):
        return self._running.__exit__(*error)

    def get(self, path: str = "/") -> requests.Response:
        return requests.get(self.url + path, timeout=30)

    def health(self, path: str) -> int:
        return requests.get(f"http://127.0.0.1:{self.admin}{path}", timeout=10).status_code

    def metrics(self) -> str:
        return requests.get(f"http://127.0.0.1:{self.admin}/metrics", timeout=10).text

    def until(self, status: int, path: str = "/readyz", within: float = 60) -> float:
        """The seconds until an admin endpoint answers so."""
        began = time.monotonic()
        while self.health(path) != status:
            assert time.monotonic() - began < within, f"{path} is not {status} within {within} s"
            time.sleep(0.05)
        return time.monotonic() - began

    def line(self, text: str, within: float = 15) -> str:
        """The first line of its log with a text in it."""
        began = time.monotonic()
        while time.monotonic() - began < within:
            for line in self.log.read_text(errors="replace").splitlines():
                if text in line:
                    return line
            time.sleep(0.1)
        raise AssertionError(f"no {text!r} in:\n{self.log.read_text()[-4000:]}")

    def gives_nothing_away(self, secrets: list[str], signatures: list[str]):
        """Once it has ended: no line holds a secret, a token or a signature."""
        assert secrets and signatures, "nothing to look for"
        written = self.log.read_text(errors="replace")
        assert '"level":"TRACE"' in written, "it was not written at trace"
        for secret in secrets:
            assert secret not in written, f"{secret} is in the log"
        told = set(SIGNATURE.findall(written)) & set(signatures)
        assert not told, f"signatures are in the log: {told}"


class Load:
    """Requests at a steady rate from several kept connections, until it is left; every answer that is
    not 200, and every one that took longer than `slow` seconds, is a fault: one that waited for credentials
    takes up to five."""

    def __init__(self, program: Program, rate: int, connections: int = 10, path: str = "/", slow: float = 4.5):
        self.program, self.pause, self.connections, self.path = program, connections / rate, connections, path
        self.slow = slow
        self.sent, self.faults, self._stop = 0, [], threading.Event()

    def __enter__(self):
        self._threads = [threading.Thread(target=self._run, args=[n], daemon=True) for n in range(self.connections)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, number: int):
        next_at = time.monotonic() + self.pause * number / self.connections
        with requests.Session() as session:
            while not self._stop.wait(max(0, next_at - time.monotonic())):
                next_at += self.pause
                began = time.monotonic()
                try:
                    answer = session.get(self.program.url + self.path, timeout=30)
                    fault = None if answer.status_code == 200 else f"{answer.status_code} {answer.text}"
                except requests.RequestException as error:
                    fault = repr(error)
                took = time.monotonic() - began
                if took > self.slow:
                    fault = fault or f"took {took:.1f} s"
                self.sent += 1
                if fault:
                    self.faults.append(fault)
