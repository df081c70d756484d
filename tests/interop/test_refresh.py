"""Credentials over real time: short-lived ones, a source that goes and comes back, a process that stood
still. Each case takes up to two minutes, nearly all of it asleep: run them side by side."""

import signal
import time

from agent import Agent
from program import Load, Program, one_target
from upstream import Upstream

#: The longest pause after a failed load, and as much again for the load itself on a busy machine.
BACK_OFF = 10 + 10


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in zip(times, times[1:])]


def test_credentials_of_twenty_seconds_under_load(tmp_path):
    with Agent(lifetime=20) as agent, Upstream(agent.valid_caller) as upstream:
        config = one_target(upstream.port)
        program = Program(tmp_path, config, AWS_CONTAINER_CREDENTIALS_FULL_URI=agent.url)
        with program, Load(program, rate=200) as load:
            time.sleep(60)
        assert load.faults == [] and load.sent > 60 * 20, (load.sent, load.faults[:5])
        # What was judged 403 would have been sent once more: there was none.
        assert len(upstream.arrived) == load.sent
        assert 4 <= len(agent.asked) <= 10 and min(gaps(agent.asked)) >= 0.99, agent.asked
        program.gives_nothing_away(agent.secrets(), upstream.signatures())


def test_a_source_that_is_down_and_comes_back(tmp_path):
    # Asked again from half of the lifetime on: it is down from before that until after the end.
    with Agent(lifetime=80) as agent, Upstream(agent.caller) as upstream:
        config = one_target(upstream.port)
        program = Program(tmp_path, config, AWS_CONTAINER_CREDENTIALS_FULL_URI=agent.url)
        with program, Load(program, rate=50) as load:
            program.until(200)
            began, first = time.time(), agent.ends.copy()
            agent.mood = "down"
            while time.time() < max(first.values()) - 6:
                assert (program.health("/readyz"), program.health("/livez")) == (200, 200)
                agent.mood = "hangs" if 45 < time.time() - began < 55 else "down"
                time.sleep(1)
            assert time.time() - began > 60 and len(agent.asked) > 3
            time.sleep(max(0, max(first.values()) + 1 - time.time()))
            for _ in range(15):
                assert (program.health("/readyz"), program.health("/livez")) == (503, 200)
                assert 'countersign_credentials_stale{source="default"} 1' in program.metrics()
                time.sleep(1)
            assert agent.ends == first and {signed.key for signed in upstream.arrived} == set(first)
            agent.mood = "up"
            program.until(200, within=BACK_OFF)
            assert 'countersign_credentials_stale{source="default"} 0' in program.metrics()
            time.sleep(1)
        assert load.faults == [] and load.sent > 1000, (load.sent, load.faults[:5])
        assert upstream.arrived[-1].key not in first, "it still signs with the old ones"
        program.gives_nothing_away(agent.secrets(), upstream.signatures())


def test_a_process_that_stood_still_past_an_expiry(tmp_path):
    with Agent(lifetime=12) as agent, Upstream(agent.valid_caller) as upstream:
        config = one_target(upstream.port)
        program = Program(tmp_path, config, AWS_CONTAINER_CREDENTIALS_FULL_URI=agent.url)
        with program:
            assert program.get().status_code == 200
            for _ in range(3):
                before = set(agent.ends)
                program.process.send_signal(signal.SIGSTOP)
                time.sleep(15)
                assert time.time() > max(agent.ends.values())
                program.process.send_signal(signal.SIGCONT)
                answer = program.get()
                assert answer.status_code == 200, answer.text
                assert upstream.arrived[-1].key not in before
        # Not by way of a refusal either: nothing was sent with the old ones, and nothing twice.
        assert len(upstream.arrived) == 4
        program.gives_nothing_away(agent.secrets(), upstream.signatures())
