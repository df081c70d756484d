"""What the verbs print, judged by what reads it: cfn-lint, botocore, taplo, mandoc, bash."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import botocore.session
import pytest

from conftest import BINARY

ROOT = Path(__file__).parents[2]
TAPLO = os.environ.get("TAPLO", "taplo")
PRINCIPAL = "arn:aws:iam::444455556666:role/app"
CONFIG = """
[targets.orders]
url = "https://abc.lambda-url.us-east-1.on.aws"
function_arn = "arn:aws:lambda:us-east-1:111122223333:function:orders:live"
[targets.users]
url = "https://def.lambda-url.us-east-1.on.aws"
[targets.web]
url = "https://live.shop.lambda-web.us-east-1.on.aws"
[targets.gateway]
url = "https://a1b2c3.execute-api.us-east-1.amazonaws.com/prod"
"""


def printed(*arguments: str, config: str | None = None, code: int = 0) -> str:
    text = config and {"COUNTERSIGN_CONFIG_TOML": config}
    ran = subprocess.run([BINARY, *arguments], env=text or {}, capture_output=True, text=True)
    assert ran.returncode == code, ran.stderr
    return ran.stdout


def routes(names: list[str]) -> str:
    return "".join(f'[[routes]]\nprefix = "/{name}"\ntarget = "{name}"\n' for name in names)


def test_cfn_lint_knows_every_action_of_the_policy(tmp_path):
    policy = json.loads(printed("policy", config=CONFIG + routes(["orders", "users", "web", "gateway"])))
    assert len(policy["Statement"]) == 6
    properties = {"PolicyDocument": policy}
    template = {"Resources": {"Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": properties}}}
    (tmp_path / "template.json").write_text(json.dumps(template))
    ran = subprocess.run(["cfn-lint", tmp_path / "template.json"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_botocore_takes_every_argument_of_add_permission():
    script = printed("policy", "--resource", "--principal", PRINCIPAL, config=CONFIG + routes(["orders"]))
    client = botocore.session.get_session().create_client(
        "lambda", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    shape = client.meta.service_model.operation_model("AddPermission").input_shape
    lines = [line for line in script.splitlines() if not line.startswith("#")]
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line)
        assert words[:3] == ["aws", "lambda", "add-permission"]
        given = dict(re.findall(r"--([a-z-]+) ?([^ -][^ ]*)?", " ".join(words[3:])))
        assert given.pop("region") == "us-east-1"
        members = {name.replace("-", " ").title().replace(" ", ""): value for name, value in given.items()}
        for name, value in members.items():
            pattern = shape.members[name].metadata.get("pattern", ".*")
            assert re.fullmatch(pattern, value) or shape.members[name].type_name == "boolean", (name, value)


def test_an_editors_plugin_takes_what_is_right():
    files = [*ROOT.glob("config/*.toml"), *ROOT.glob("tests/fixtures/config/valid/*.toml")]
    assert len(files) > 8
    ran = lint(*files)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("name", ["unknown-key-route", "unknown-key-limits", "bare-numbers", "wrong-types"])
def test_an_editors_plugin_marks_what_is_wrong(name):
    assert lint(ROOT / f"tests/fixtures/config/invalid/{name}.toml").returncode != 0


def test_the_first_line_leads_an_editor_to_the_schema(tmp_path):
    (tmp_path / "countersign.schema.json").write_text(printed("schema"))
    starter = printed("init", "-")
    (tmp_path / "right.toml").write_text(starter)
    (tmp_path / "wrong.toml").write_text(starter + 'retris = 3\n')
    for name, code in [("right.toml", 0), ("wrong.toml", 1)]:
        ran = subprocess.run([TAPLO, "lint", name], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == code, ran.stderr


def lint(*files: Path):
    schema = f"file://{ROOT}/config/countersign.schema.json"
    return subprocess.run([TAPLO, "lint", "--schema", schema, *files], capture_output=True, text=True)


@pytest.mark.parametrize("verb", [[], ["run"], ["check"], ["health"], ["policy"], ["completions"]], ids=str)
def test_mandoc_has_nothing_to_say_of_the_manual(verb):
    page = printed("man", *verb)
    ran = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=page, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
