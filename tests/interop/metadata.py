"""One source of credentials at the address that AWS gives it; run by test_metadata.py in a network
namespace of its own, with the addresses on its loopback."""

import sys
import tempfile
from pathlib import Path

from agent import Agent, Imds
from program import Program, one_target
from upstream import Upstream


def signs(folder: Path, agent: Agent, **variables: str):
    with agent, Upstream(agent.valid_caller) as upstream:
        with Program(folder, one_target(upstream.port), **variables) as program:
            program.until(200)
            answer = program.get()
            assert answer.status_code == 200 and answer.json()["faults"] == [], answer.text
        secrets = [*agent.secrets(), *([agent.token] if agent.token else [])]
        program.gives_nothing_away(secrets, upstream.signatures())


def ecs(folder: Path):
    agent = Agent(3600, "169.254.170.2", 80)
    signs(folder, agent, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/id")


def pod_identity(folder: Path, host: str, url: str):
    (folder / "token").write_text("the.pods.token")
    agent = Agent(3600, host, 80, token="the.pods.token")
    file = str(folder / "token")
    signs(folder, agent, AWS_CONTAINER_CREDENTIALS_FULL_URI=url, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=file)


def imds(folder: Path, host: str, mode: str):
    variables = {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": mode}
    signs(folder, Imds(3600, host, 80), **variables)


SOURCES = {
    "ecs": ecs,
    "pod-identity-4": lambda folder: pod_identity(folder, "169.254.170.23", "http://169.254.170.23/v1/credentials"),
    "pod-identity-6": lambda folder: pod_identity(folder, "fd00:ec2::23", "http://[fd00:ec2::23]/v1/credentials"),
    "imds-4": lambda folder: imds(folder, "169.254.169.254", "IPv4"),
    "imds-6": lambda folder: imds(folder, "fd00:ec2::254", "IPv6"),
}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        SOURCES[sys.argv[1]](Path(folder))
