"""Roles at moto's STS, which checks signature, policy and trust: what it lets in, it has verified with
botocore. The target judges by what STS says that it gave."""

import json
import signal
import time

import boto3
import moto.settings
import pytest
import requests
from moto.server import ThreadedMotoServer
from moto.sts.models import sts_backends

from conftest import until
from judge import Caller
from program import Load, Program
from upstream import Upstream

ACCOUNT = "123456789012"


class Sts:
    """moto in this process, with a user `me` who may assume roles, and roles that trust who they say."""

    def __enter__(self):
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.url = "http://{}:{}".format(*self._server.get_host_and_port())
        moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        requests.post(f"{self.url}/moto-api/reset", timeout=10)
        self.iam = boto3.client(
            "iam", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="m", aws_secret_access_key="m"
        )
        self.iam.create_user(UserName="me")
        self.iam.put_user_policy(UserName="me", PolicyName="roles", PolicyDocument=allow("*"))
        self.user = self.iam.create_access_key(UserName="me")["AccessKey"]
        return self

    def __exit__(self, *_):
        moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        self._server.stop()

    def role(self, name: str, principal: str, external_id: str | None = None):
        condition = {"Condition": {"StringEquals": {"sts:ExternalId": external_id}}} if external_id else {}
        trust = allow(None, Principal={"AWS": f"arn:aws:{principal}"}, **condition)
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        self.iam.put_role_policy(RoleName=name, PolicyName="roles", PolicyDocument=allow("*"))

    def check_everything(self):
        """From now on every call is checked; those before, which made users and roles, were not."""
        moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0

    def given(self):
        return [given for regions in sts_backends[ACCOUNT].values() for given in regions.assumed_roles]

    def caller(self, key: str) -> Caller | None:
        found = [Caller(key, of.secret_access_key, of.session_token) for of in self.given() if of.access_key_id == key]
        return found[0] if found else None

    def environment(self, **others: str) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": self.user["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": self.user["SecretAccessKey"]}
        return {"AWS_ENDPOINT_URL_STS": self.url, **keys, **others}

    def secrets(self) -> list[str]:
        given = [value for of in self.given() for value in (of.secret_access_key, of.session_token)]
        return [self.user["SecretAccessKey"], *given]


def allow(resource: str | None, **others) -> str:
    of = {"Resource": resource} if resource else {}
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", **of, **others}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def sts():
    with Sts() as sts:
        yield sts


def target(name: str, port: int, role: str) -> str:
    return f"""
        [targets.{name}]
        url = "http://127.0.0.1:{port}"
        service = "lambda"
        region = "us-east-1"
        credentials = {role}

        [[routes]]
        prefix = "/{name}"
        target = "{name}"
    """


def assume(name: str, more: str = "") -> str:
    return f'{{ assume_role = {{ arn = "arn:aws:iam::{ACCOUNT}:role/{name}"{more} }} }}'


def test_a_role_with_an_external_id(sts, tmp_path):
    sts.role("caller", f"iam::{ACCOUNT}:user/me", external_id="the-id")
    sts.check_everything()
    role = assume("caller", ', external_id = "the-id", session_name = "here", duration = "15m"')
    with Upstream(sts.caller) as upstream:
        with Program(tmp_path, target("all", upstream.port, role), **sts.environment()) as program:
            program.until(200)
            answer = program.get("/all")
            assert answer.status_code == 200 and answer.json()["faults"] == [], answer.text
        [given] = sts.given()
        assert (given.session_name, given.external_id) == ("here", "the-id")
        program.gives_nothing_away(sts.secrets(), upstream.signatures())


def test_roles_never_mix_on_sixty_four_connections_and_over_a_reload(sts, tmp_path):
    for name in ("one", "two", "three"):
        sts.role(name, f"iam::{ACCOUNT}:user/me")
    sts.check_everything()
    with Upstream(sts.caller) as upstream:
        config = "".join(target(name, upstream.port, assume(name)) for name in ("one", "two"))
        with Program(tmp_path, config, **sts.environment()) as program:
            program.until(200)
            # So many threads keep Python busy: what is slow here may be the judge.
            with Load(program, 80, 32, "/one", slow=20) as one, Load(program, 80, 32, "/two", slow=20) as two:
                time.sleep(2)
                assert program.get("/three").status_code == 404
                with program.file.open("a") as file:
                    file.write(target("three", upstream.port, assume("three")))
                program.process.send_signal(signal.SIGHUP)
                until(lambda: program.get("/three").status_code != 404, "the third route is served")
                assert program.get("/three").status_code == 200
                before = one.sent, two.sent
                until(lambda: min(one.sent - before[0], two.sent - before[1]) > 100, "a hundred more of both are sent")
        assert one.faults + two.faults == []
        role_of = {given.access_key_id: given.role_arn.rpartition("/")[2] for given in sts.given()}
        assert sorted(role_of.values()) == ["one", "three", "two"], "each role was asked for once"
        for signed in upstream.arrived:
            assert signed.target == f"/{role_of[signed.key]}"
        program.gives_nothing_away(sts.secrets(), upstream.signatures())


def test_a_role_on_top_of_a_profile_that_is_a_role_itself(sts, tmp_path):
    sts.role("middle", f"iam::{ACCOUNT}:user/me")
    sts.role("caller", f"sts::{ACCOUNT}:assumed-role/middle/me")
    sts.check_everything()
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        f"[profile chained]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/middle\nsource_profile = me\nrole_session_name = me\n"
    )
    (tmp_path / ".aws" / "credentials").write_text(
        f"[me]\naws_access_key_id = {sts.user['AccessKeyId']}\naws_secret_access_key = {sts.user['SecretAccessKey']}\n"
    )
    role = assume("caller").replace("{ ", '{ profile = "chained", ', 1)
    with Upstream(sts.caller) as upstream:
        config = target("all", upstream.port, role)
        with Program(tmp_path, config, AWS_ENDPOINT_URL_STS=sts.url) as program:
            program.until(200)
            answer = program.get("/all")
            assert answer.status_code == 200 and answer.json()["faults"] == [], answer.text
        assert [given.role_arn.rpartition("/")[2] for given in sts.given()] == ["middle", "caller"]
        program.gives_nothing_away(sts.secrets(), upstream.signatures())


@pytest.mark.parametrize("why", ["another external id", "another secret", "no permission"])
def test_a_role_that_sts_refuses(sts, tmp_path, why):
    sts.role("caller", f"iam::{ACCOUNT}:user/me", external_id="the-id")
    if why == "no permission":
        sts.iam.delete_user_policy(UserName="me", PolicyName="roles")
    sts.check_everything()
    role = assume("caller", ', external_id = "another"' if why == "another external id" else ', external_id = "the-id"')
    environment = sts.environment(**({"AWS_SECRET_ACCESS_KEY": "wrong"} if why == "another secret" else {}))
    with Upstream(sts.caller) as upstream:
        with Program(tmp_path, target("all", upstream.port, role), **environment) as program:
            assert "could not be assumed" in program.line("credentials could not be loaded")
            program.line("credentials still could not be loaded")
            answer = program.get("/all")
            assert (answer.status_code, answer.json()["code"]) == (503, "no_credentials")
        told = [line for line in program.log.read_text().splitlines() if '"level":"WARN"' in line]
        assert sum("countersign::credentials" in line for line in told) == 1, "the same failure is told once"
        assert upstream.arrived == [] and sts.given() == []


@pytest.mark.parametrize("role", ["{}", assume("caller")], ids=["itself", "a role on it"])
def test_a_web_identity(sts, tmp_path, role):
    # moto cannot check what is not signed, and AssumeRoleWithWebIdentity is not.
    sts.role("pod", f"iam::{ACCOUNT}:user/me")
    sts.role("caller", f"iam::{ACCOUNT}:user/me")
    (tmp_path / "jwt").write_text("the.pods.jwt")
    environment = {
        "AWS_ENDPOINT_URL_STS": sts.url,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "jwt"),
        "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/pod",
        "AWS_REGION": "us-east-1",
    }
    with Upstream(sts.caller) as upstream:
        with Program(tmp_path, target("all", upstream.port, role), **environment) as program:
            program.until(200)
            answer = program.get("/all")
            assert answer.status_code == 200 and answer.json()["faults"] == [], answer.text
        roles = [given.role_arn.rpartition("/")[2] for given in sts.given()]
        assert roles == (["pod"] if role == "{}" else ["pod", "caller"])
        program.gives_nothing_away(["the.pods.jwt", *sts.secrets()], upstream.signatures())
