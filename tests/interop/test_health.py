"""`health` runs every few seconds beside the app: it must cost next to nothing."""

import os
import statistics
import time

from conftest import BINARY, environment, free_port, running

RUNS = 20
MOST = 0.020  # seconds


def run(arguments: list[str]) -> tuple[int, float]:
    """The exit code and the processor's time of one run."""
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(BINARY, [BINARY, "health", *arguments], {}, file_actions=silent)
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime


def test_health_takes_less_than_20_ms(caller):
    port, admin = free_port(), free_port()
    target = ["--service", "lambda", "--region", "us-east-1", "http://127.0.0.1:9"]
    command = [BINARY, "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}", *target]
    # Asks again only where a busy machine took too long: it measures the same.
    health = ["--wait", "10s", "--admin", f"127.0.0.1:{admin}"]
    with running(command, port, admin, env=environment(caller)):
        assert run(health)[0] == 0
        began = time.monotonic()
        runs = [run(health) for _ in range(RUNS)]
        print(f"{(time.monotonic() - began) / RUNS * 1000:.1f} ms each")
    assert all(code == 0 for code, _ in runs)
    assert statistics.median(seconds for _, seconds in runs) < MOST
