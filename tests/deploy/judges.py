"""Who judges the samples. Each takes the folder that they stand in, and fails where one is wrong."""
import json
import os
import re
import shutil
import subprocess
import tomllib

import botocore.session
import botocore.validate
import pytest
import yaml

import samples
from conftest import output_of

# Measured: what the process takes while it waits, with room to spare.
IDLE = 10_000_000
# A held body costs more than its bytes.
BODIES = 1.3


# --- Other people's validators.


def cfn_lint(root):
    output_of("cfn-lint", *(root / path for path in samples.CLOUDFORMATION))


def compose(root):
    path = root / "deploy/compose/compose.yaml"
    output_of("check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)


def workflows(root):
    paths = sorted((root / ".github/workflows").glob("*.yml"))
    output_of("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *paths)


def kubernetes(root):
    need_kubectl()
    for name in samples.KUSTOMIZATIONS:
        resources = [r for r in samples.rendered(root, name) if r["kind"] != "PodMonitor"]
        if resources:
            path = root / f"{name}.yaml"
            path.write_text(yaml.safe_dump_all(resources))
            output_of("kubernetes-validate", "--strict", path)


def task_definition(root):
    client = botocore.session.get_session().get_service_model("ecs")
    shape = client.operation_model("RegisterTaskDefinition").input_shape
    task = json.loads((root / "deploy/ecs/task-definition.json").read_text())
    report = botocore.validate.ParamValidator().validate(task, shape)
    assert not report.has_errors(), report.generate_report()


def unit(root, countersign):
    """`verify` takes the unit by its file, and wants a program that is there."""
    folder = root / "deploy/systemd"
    file = folder / "countersign.service"
    text = file.read_text()
    assert "ExecStart=/usr/bin/countersign " in text
    file.write_text(text.replace("/usr/bin/countersign", str(countersign)))
    said = said_by("systemd-analyze", "verify", file, folder / "countersign.socket")
    said = [line for line in said.splitlines() if "man countersign" not in line]
    said = [line for line in said if f"{folder}" in line or "countersign." in line]
    assert not said, said


def unit_security(root):
    """Out of 10, where 10 is wide open: 2 at most."""
    file = root / "deploy/systemd/countersign.service"
    output_of("systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", file)


def dockerfile(root):
    output_of("hadolint", "--no-color", root / "Dockerfile")


def alerts(root):
    folder = root / "deploy/prometheus"
    output_of("promtool", "check", "rules", folder / "alerts.yml")
    output_of("promtool", "test", "rules", "alerts_test.yml", cwd=folder)
    # As the operator takes them, by the line of the README.
    monitoring = root / "deploy/kubernetes/monitoring"
    line = re.search(r"```sh\n(.*) \| kubectl apply -f -\n", (monitoring / "README.md").read_text(), re.S)
    wrapped = yaml.safe_load(output_of("sh", "-c", line[1], cwd=monitoring))
    assert wrapped["kind"] == "PrometheusRule" and wrapped["spec"]["groups"]


def terraform(root):
    if not shutil.which("terraform"):
        pytest.skip("no terraform on this machine")
    output_of("terraform", "fmt", "-check", "-diff", root / "deploy/aws", env=path_alone())


# --- What they miss.


def tasks(root):
    """A task ends within its time, starts in order, and has countersign as it should be run."""
    for name, (task, table) in samples.task_definitions(root).items():
        containers = {c["name"]: c for c in task["containerDefinitions"]}
        ours = containers["countersign"]
        ending, bodies = samples.bounds(table)
        assert ending < ours["stopTimeout"] <= 120, name
        assert ours["healthCheck"] == {
            "command": ["CMD", "/countersign", "health"],
            "interval": 5,
            "timeout": 2,
            "retries": 3,
            "startPeriod": 10,
        }, name
        assert ours["essential"] is True, name
        assert ours["user"] == "65532:65532", name
        assert ours["readonlyRootFilesystem"] is True, name
        assert ours["linuxParameters"] == {"capabilities": {"drop": ["ALL"]}}, name
        assert [s["name"] for s in ours["secrets"]] == ["COUNTERSIGN_CONFIG_TOML"], name
        memory = int(ours.get("memory") or task["memory"]) * 2**20
        assert memory >= IDLE + BODIES * bodies, name
        if "app" in containers:
            waits = {"containerName": "countersign", "condition": "HEALTHY"}
            assert containers["app"]["dependsOn"] == [waits], name


def pods(root):
    """The same of a pod."""
    need_kubectl()
    for name, spec, ours, table in samples.pods(root):
        ending, bodies = samples.bounds(table)
        assert ending < spec["terminationGracePeriodSeconds"], name
        assert samples.size(ours["resources"]["limits"]["memory"]) >= IDLE + BODIES * bodies, name
        assert "cpu" not in ours["resources"]["limits"], name
        assert ours["startupProbe"]["httpGet"]["path"] == "/startupz", name
        assert ours["livenessProbe"]["httpGet"]["path"] == "/livez", name
        assert ours["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }, name
        [mount] = ours["volumeMounts"]
        assert "subPath" not in mount and mount["mountPath"] == "/etc/countersign", name
        if name == "gateway":
            assert spec["enableServiceLinks"] is False
        else:
            # An enum that the schemas do not have.
            assert ours["restartPolicy"] == "Always", name
            assert "readinessProbe" not in ours, f"{name}: it would take the app out with it"
            assert ours in spec["initContainers"], name


def pod_monitors(root):
    """A port that pods have, by its name: the schemas know no PodMonitor."""
    ports = {
        port["name"]
        for _, _, ours, _ in (samples.pods(root) if samples.has_kubectl() else ())
        for port in ours["ports"]
    } or {"countersign"}
    monitors = yaml.safe_load_all((root / "deploy/kubernetes/monitoring/pod-monitor.yaml").read_text())
    for monitor in monitors:
        assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
        assert set(monitor["spec"]) == {"namespaceSelector", "selector", "podMetricsEndpoints"}
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            assert set(endpoint) == {"port", "path", "interval"}
            assert endpoint["port"] in ports and endpoint["path"] == "/metrics"


def function_urls(root):
    """SAM's own properties, which no linter looks into."""
    urls = 0
    for path in samples.CLOUDFORMATION:
        for mapping in samples.walk(samples.template(root, path)):
            if "FunctionUrlConfig" in mapping:
                urls += 1
                config = mapping["FunctionUrlConfig"]
                assert config == {"AuthType": "AWS_IAM", "InvokeMode": "BUFFERED"}, path
    assert urls == 2


def policies(root):
    """Both actions, each with its condition, in every policy that lets somebody call."""
    expected = [
        {
            "Effect": "Allow",
            "Action": "lambda:InvokeFunctionUrl",
            "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
        },
        {
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
        },
    ]
    for path in samples.CLOUDFORMATION:
        found = 0
        for mapping in samples.walk(samples.template(root, path)):
            statements = mapping.get("Statement")
            if statements and str(statements[0]["Action"]).startswith("lambda:"):
                found += 1
                rest = [{k: v for k, v in s.items() if k != "Resource"} for s in statements]
                assert rest == expected, path
                assert all(s["Resource"] != "*" for s in statements), path
        assert found == 1, path
    text = re.sub(r"\s+", " ", (root / "deploy/aws/main.tf").read_text())
    for action, test, variable, value in [
        ("InvokeFunctionUrl", "StringEquals", "FunctionUrlAuthType", "AWS_IAM"),
        ("InvokeFunction", "Bool", "InvokedViaFunctionUrl", "true"),
    ]:
        assert (
            f'actions = ["lambda:{action}"] resources = [aws_lambda_function.sample.arn] condition '
            f'{{ test = "{test}" variable = "lambda:{variable}" values = ["{value}"] }}'
        ) in text, action


def resource_policies(root):
    """The function's side, for another account: the same two actions, and no more."""
    resources = samples.template(root, "deploy/aws/template.yaml")["Resources"].values()
    permissions = [r["Properties"] for r in resources if r["Type"] == "AWS::Lambda::Permission"]
    assert {p["Action"]: p for p in permissions} == {
        "lambda:InvokeFunctionUrl": {
            "FunctionName": {"Ref": "Function"},
            "Action": "lambda:InvokeFunctionUrl",
            "Principal": {"Ref": "CallerAccount"},
            "FunctionUrlAuthType": "AWS_IAM",
        },
        "lambda:InvokeFunction": {
            "FunctionName": {"Ref": "Function"},
            "Action": "lambda:InvokeFunction",
            "Principal": {"Ref": "CallerAccount"},
            "InvokedViaFunctionUrl": True,
        },
    }
    text = re.sub(r"\s+", " ", (root / "deploy/aws/main.tf").read_text())
    assert 'function_url_auth_type = "AWS_IAM"' in text and 'authorization_type = "AWS_IAM"' in text
    assert "invoked_via_function_url = true" in text


def ports(root):
    """8480 for apps and 8481 for probes, everywhere."""
    for path, text in samples.tables(root).items():
        if path.startswith("deploy/"):
            table = tomllib.loads(text)
            assert [a.rsplit(":", 1)[1] for a in table["listen"]] == ["8480"], path
            assert table["admin"].endswith(":8481"), path
    socket = (root / "deploy/systemd/countersign.socket").read_text()
    assert "ListenStream=127.0.0.1:8480\n" in socket
    services = yaml.safe_load((root / "deploy/compose/compose.yaml").read_text())["services"]
    published = ["127.0.0.1:8480:8480", "127.0.0.1:8481:8481"]
    assert services["function"]["ports"] == published


def namespace(root):
    """In compose all share one network namespace, and countersign is as closed as elsewhere."""
    services = yaml.safe_load((root / "deploy/compose/compose.yaml").read_text())["services"]
    for name in ("countersign", "app"):
        assert services[name]["network_mode"] == "service:function"
    ours = services["countersign"]
    assert ours["read_only"] is True and ours["cap_drop"] == ["ALL"]
    waits = {"countersign": {"condition": "service_healthy"}}
    assert services["app"]["depends_on"] == waits


def route_tables(root, countersign):
    """The program itself takes every table."""
    for path, text in samples.tables(root).items():
        file = root / "table.toml"
        file.write_text(text)
        env = path_alone() | {"AWS_REGION": "us-east-1"}
        said = output_of(countersign, "check", "--config", file, env=env, cwd=root)
        assert "warning" not in said.lower(), f"{path}\n{said}"


def readmes(root):
    """Each folder says what to change, how to see that it works, and how it looks where it does not."""
    for folder in sorted((root / "deploy").iterdir()):
        if folder.is_dir() and folder.name != "prometheus":
            text = (folder / "README.md").read_text()
            assert "**Change**" in text and "| what goes wrong |" in text, folder.name
            assert f"({folder.name}/README.md)" in (root / "deploy/README.md").read_text()
    for page in (root / "deploy").rglob("*.md"):
        for link in re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


def need_kubectl():
    if not samples.has_kubectl():
        pytest.skip("no kubectl on this machine")


def path_alone():
    """An environment that says nothing of AWS, nor of Terraform."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


def said_by(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr
