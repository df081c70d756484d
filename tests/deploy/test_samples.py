"""Every sample passes its judges, and every judge finds a mistake that was planted for it."""
import inspect

import pytest

import judges

JUDGES = [
    judges.cfn_lint,
    judges.compose,
    judges.workflows,
    judges.kubernetes,
    judges.task_definition,
    judges.unit,
    judges.unit_security,
    judges.dockerfile,
    judges.alerts,
    judges.terraform,
    judges.tasks,
    judges.pods,
    judges.pod_monitors,
    judges.function_urls,
    judges.policies,
    judges.resource_policies,
    judges.ports,
    judges.namespace,
    judges.route_tables,
    judges.readmes,
]

ECS = "deploy/ecs/task-definition.json"
SIDECAR = "deploy/kubernetes/sidecar/sidecar.yaml"
UNIT = "deploy/systemd/countersign.service"

# Who finds it; where it is; what is there; what is written instead.
MISTAKES = [
    (judges.cfn_lint, "deploy/ecs/sidecar.yaml", 'Memory: "512"', 'Memory: "300"'),
    (judges.cfn_lint, "deploy/ecs/gateway.yaml", "lambda:InvokeFunctionUrl", "lambda:InvokeFunctionURI"),
    (judges.cfn_lint, "deploy/aws/template.yaml", "InvokedViaFunctionUrl: true", "InvokedByUrl: true"),
    (judges.cfn_lint, "deploy/lambda/template.yaml", "Handler: app.handler", "Hander: app.handler"),
    (judges.compose, "deploy/compose/compose.yaml", "depends_on: [function]", "depend_on: [function]"),
    (judges.workflows, ".github/workflows/release.yml", "runs-on:", "run-on:"),
    (judges.kubernetes, SIDECAR, "startupProbe:", "startUpProbe:"),
    (judges.kubernetes, "deploy/kubernetes/gateway/scaling.yaml", "minReplicas: 2", 'minReplicas: "2"'),
    (judges.task_definition, ECS, '"stopTimeout": 40', '"stopTimeout": "40"'),
    (judges.task_definition, ECS, '"readonlyRootFilesystem"', '"readOnlyRootFilesystem"'),
    (judges.unit, UNIT, "ProtectProc=", "ProtectProcs="),
    (judges.unit, "deploy/systemd/countersign.socket", "NoDelay=yes", "NoDelay=perhaps"),
    (judges.unit_security, UNIT, "CapabilityBoundingSet=\n", ""),
    (judges.dockerfile, "Dockerfile", "WORKDIR /src", "WORKDIR src"),
    (judges.alerts, "deploy/prometheus/alerts.yml", "expr:", "expression:"),
    (judges.alerts, "deploy/kubernetes/monitoring/README.md", "spec:", "spice:"),
    (judges.terraform, "deploy/aws/main.tf", "  memory_size      =", "  memory_size ="),
    (judges.tasks, ECS, '"stopTimeout": 40', '"stopTimeout": 25'),
    (judges.tasks, "deploy/ecs/sidecar.yaml", "StopTimeout: 40", "StopTimeout: 600"),
    (judges.tasks, "deploy/ecs/gateway.yaml", 'delay = "10s"', 'delay = "15s"'),
    (judges.tasks, "deploy/ecs/sidecar.yaml", "Condition: HEALTHY", "Condition: START"),
    (judges.tasks, ECS, '"memory": 128', '"memory": 90'),
    (judges.tasks, ECS, '"interval": 5', '"interval": 30'),
    (judges.pods, SIDECAR, "restartPolicy: Always", "restartPolicy: Allways"),
    (judges.pods, SIDECAR, "limits: { memory: 128Mi }", "limits: { memory: 64Mi }"),
    (judges.pods, SIDECAR, "livenessProbe:", "readinessProbe:"),
    (
        judges.pods,
        "deploy/kubernetes/example/app.yaml",
        "terminationGracePeriodSeconds: 40",
        "terminationGracePeriodSeconds: 20",
    ),
    (judges.pods, "deploy/kubernetes/gateway/deployment.yaml", "enableServiceLinks: false", "enableServiceLinks: true"),
    (judges.pod_monitors, "deploy/kubernetes/monitoring/pod-monitor.yaml", "port: countersign", "port: metrics"),
    (judges.function_urls, "deploy/aws/template.yaml", "AuthType: AWS_IAM", "AuthType: IAM"),
    (judges.function_urls, "deploy/lambda/template.yaml", "InvokeMode: BUFFERED", "InvokeMode: STREAM"),
    (judges.policies, "deploy/lambda/template.yaml", "Action: lambda:InvokeFunction\n", "Action: lambda:GetFunction\n"),
    (judges.policies, "deploy/ecs/gateway.yaml", "Resource: !Ref FunctionArn", 'Resource: "*"'),
    (judges.policies, "deploy/aws/main.tf", '"lambda:InvokedViaFunctionUrl"', '"lambda:InvokedByUrl"'),
    (judges.resource_policies, "deploy/aws/template.yaml", "FunctionUrlAuthType: AWS_IAM", "FunctionUrlAuthType: NONE"),
    (judges.ports, "deploy/systemd/countersign.toml", "127.0.0.1:8481", "127.0.0.1:9090"),
    (judges.ports, "deploy/ecs/sidecar.yaml", "127.0.0.1:8480", "127.0.0.1:8080"),
    (judges.namespace, "deploy/compose/compose.yaml", "network_mode: service:function", "network_mode: bridge"),
    (judges.route_tables, "deploy/kubernetes/gateway/countersign.toml", "[shutdown]", "[shutdwon]"),
    (judges.route_tables, "deploy/lambda/template.yaml", 'access_log = "errors"', 'access_log = "none"'),
    (judges.route_tables, "config/smallest.toml", 'target = "https', 'target = "http'),
    (judges.readmes, "deploy/README.md", "(ecs/README.md)", "(esc/README.md)"),
]


def judge(by, root, countersign):
    by(root, countersign) if "countersign" in inspect.signature(by).parameters else by(root)


@pytest.mark.parametrize("by", JUDGES, ids=lambda by: by.__name__)
def test_the_samples_pass(by, copy, countersign):
    judge(by, copy, countersign)


@pytest.mark.parametrize(
    ("by", "path", "right", "wrong"), MISTAKES, ids=[f"{m[0].__name__}-{m[3]}" for m in MISTAKES]
)
def test_finds_a_planted_mistake(by, path, right, wrong, copy, countersign):
    file = copy / path
    text = file.read_text()
    assert right in text, f"{path} has no {right!r} to spoil"
    file.write_text(text.replace(right, wrong, 1))
    with pytest.raises((AssertionError, KeyError)):
        judge(by, copy, countersign)


def test_every_judge_has_found_a_mistake():
    assert {mistake[0] for mistake in MISTAKES} == set(JUDGES)
