"""A mirror as its target sees it, and one that says nothing for longer than it is waited for."""

import re
import socket
import time

import requests

from conftest import environment
from program import Load, Program, one_target
from upstream import Upstream


def with_mirror(port: int, mirror: int, keys: str) -> str:
    """`one_target`, with a mirror of its route."""
    return f"""{one_target(port)}
        mirror = {{ target = "beside", {keys} }}

        [targets.beside]
        url = "http://127.0.0.1:{mirror}/v2"
        service = "lambda"
        region = "us-east-1"
    """


def counted(program: Program, outcome: str) -> int:
    sample = rf'^countersign_mirrored_requests_total\{{[^}}]*outcome="{outcome}"[^}}]*\}} (\d+)$'
    return int(re.search(sample, program.metrics(), re.MULTILINE)[1])


def until(program: Program, outcome: str, count: int, within: float = 15):
    began = time.monotonic()
    while counted(program, outcome) < count:
        assert time.monotonic() - began < within, f"{outcome} is {counted(program, outcome)}"
        time.sleep(0.05)


def test_the_second_signature_is_right_to_the_byte(tmp_path, caller):
    with Upstream(caller) as upstream, Upstream(caller) as beside:
        keys = 'methods = "all", ignore = ["/headers", "/target"]'
        config = with_mirror(upstream.port, beside.port, keys)
        with Program(tmp_path, config, **environment(caller)) as program:
            for body in (b"", b"x", b"\xff" * 100_000):
                answer = requests.post(program.url + "/a%20b/?q=%2F&q=+", data=body, timeout=10)
                assert answer.status_code == 200, answer.text
            until(program, "same", 3)
        assert [signed.target for signed in beside.arrived] == ["/v2/a%20b/?q=%2F&q=%20"] * 3
        signatures = upstream.signatures() + beside.signatures()
        program.gives_nothing_away([caller.secret, caller.token], signatures)


def test_one_that_says_nothing_is_given_up_after_thirty_seconds(tmp_path, caller):
    with Upstream(caller) as upstream, socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        config = with_mirror(upstream.port, silent.getsockname()[1], "")
        with Program(tmp_path, config, **environment(caller)) as program, Load(program, rate=50) as load:
            time.sleep(20)
            assert counted(program, "failed") == 0 and counted(program, "dropped") > 200
            until(program, "failed", 64, within=20)
            assert "mirror_timeout" in program.line("a mirror did not answer")
        assert load.faults == [] and len(upstream.arrived) == load.sent > 500, load.faults[:5]
