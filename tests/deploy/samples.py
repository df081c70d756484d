"""The samples as data: what several judges look at."""
import json
import re
import shutil
import tomllib

import yaml
from cfnlint.decode import cfn_yaml

from conftest import output_of

CLOUDFORMATION = [
    "deploy/aws/template.yaml",
    "deploy/ecs/gateway.yaml",
    "deploy/ecs/sidecar.yaml",
    "deploy/lambda/template.yaml",
]
KUSTOMIZATIONS = ["example", "gateway", "irsa", "monitoring", "pod-identity"]

# What a parameter stands for where its value is needed.
PARAMETERS = {
    "FunctionUrl": "https://abc123.lambda-url.us-east-1.on.aws",
    "FunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:orders",
    "CalleeUrl.FunctionUrl": "https://abc123.lambda-url.us-east-1.on.aws/",
    "Callee.Arn": "arn:aws:lambda:us-east-1:111122223333:function:callee",
    "HostName": "orders.internal.example.com",
}

DEFAULTS = {"delay": 0, "grace": 25, "buffered_bodies": 64 * 2**20}


def template(root, path):
    return cfn_yaml.load(str(root / path))


def walk(value):
    """Every mapping within."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from walk(item)


def tables(root):
    """Every route table: where it stands, and its text."""
    found = {}
    for folder in ("deploy", "config"):
        for path in sorted((root / folder).rglob("*.toml")):
            found[str(path.relative_to(root))] = path.read_text()
    for path in CLOUDFORMATION:
        for value in strings(template(root, path)):
            if "[[routes]]" in value:
                found[path] = re.sub(r"\$\{([^}]*)\}", lambda name: PARAMETERS[name[1]], value)
    return found


def strings(value):
    if isinstance(value, str):
        yield str(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def size(text):
    number, unit = re.fullmatch(r"(\d+)\s*([KMG]i?B?|B)?", str(text)).groups()
    powers = {"K": 1, "M": 2, "G": 3}
    if not unit or unit == "B":
        return int(number)
    return int(number) * (1024 if "i" in unit else 1000) ** powers[unit[0]]


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def bounds(text):
    """What a route table asks of its surroundings: seconds to end in, bytes of bodies."""
    table = tomllib.loads(text)
    shutdown, limits = table.get("shutdown", {}), table.get("limits", {})
    ending = sum(
        seconds(shutdown[key]) if key in shutdown else DEFAULTS[key] for key in ("delay", "grace")
    )
    bodies = limits.get("buffered_bodies")
    return ending, size(bodies) if bodies else DEFAULTS["buffered_bodies"]


def lower(value):
    """CloudFormation's spelling as the API's: the first letter small."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: lower(item) for key, item in value.items()}
    return [lower(item) for item in value] if isinstance(value, list) else value


def task_definitions(root):
    """Each ECS task definition with its route table."""
    raw = json.loads((root / "deploy/ecs/task-definition.json").read_text())
    found = {"task-definition.json": (raw, tables(root)["deploy/ecs/countersign.toml"])}
    for name in ("sidecar.yaml", "gateway.yaml"):
        resources = template(root, f"deploy/ecs/{name}")["Resources"]
        task = lower(resources["Task"]["Properties"])
        found[name] = (task, tables(root)[f"deploy/ecs/{name}"])
    return found


def has_kubectl():
    return shutil.which("kubectl") is not None


def rendered(root, name):
    """The resources of a kustomization, as Kubernetes gets them."""
    text = output_of("kubectl", "kustomize", root / "deploy/kubernetes" / name)
    return [resource for resource in yaml.safe_load_all(text) if resource]


def pods(root):
    """Each pod with countersign: its spec, countersign's container, its route table."""
    for name in ("example", "gateway", "irsa", "pod-identity"):
        resources = rendered(root, name)
        maps = {r["metadata"]["name"]: r["data"] for r in resources if r["kind"] == "ConfigMap"}
        for resource in resources:
            if resource["kind"] == "Deployment":
                spec = resource["spec"]["template"]["spec"]
                containers = spec["containers"] + spec.get("initContainers", [])
                [ours] = [c for c in containers if c["name"] == "countersign"]
                yield name, spec, ours, maps["countersign"]["countersign.toml"]
