"""The agents of ECS and EKS and IMDS at their own link-local addresses, which the SDK knows by heart. They
need a network namespace: where the machine allows none, these cases are passed over."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from metadata import SOURCES

ADDRESSES = ["169.254.170.2/32", "169.254.170.23/32", "169.254.169.254/32"]
ADDRESSES_V6 = ["fd00:ec2::23/128", "fd00:ec2::254/128"]


def inside(addresses: list[str], *command: str) -> subprocess.CompletedProcess:
    """Runs a command in a namespace whose loopback has these addresses."""
    family = {True: "-6", False: "-4"}
    steps = [f"ip {family[':' in address]} addr add {address} dev lo" for address in addresses]
    script = " && ".join(["ip link set lo up", *steps, 'exec "$@"'])
    whole = ["unshare", "--net", "sh", "-c", script, "sh", *command]
    return subprocess.run(whole, capture_output=True, text=True, timeout=180)


@functools.cache
def refusal(with_v6: bool) -> str:
    try:
        return inside(ADDRESSES + ADDRESSES_V6 * with_v6, "true").stderr
    except FileNotFoundError as error:
        return str(error)


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_at_its_own_address(source):
    with_v6 = source.endswith("-6")
    if refused := refusal(with_v6):
        pytest.skip(f"no network namespace here: {refused}")
    script = Path(__file__).with_name("metadata.py")
    ran = inside(ADDRESSES + ADDRESSES_V6 * with_v6, sys.executable, str(script), source)
    assert ran.returncode == 0, ran.stderr
