"""Debian's Prometheus scrapes the admin listener and answers for one route; promtool reads metrics and alert rules."""

import re
import subprocess
import time
from pathlib import Path

import pytest
import requests

from conftest import free_port

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, operated):
    """The URL of a Prometheus that scrapes the proxy every second."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    _, admin = operated
    (folder / "prometheus.yml").write_text(f"""
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [ {RULES}/alerts.yml ]
scrape_configs:
  - job_name: countersign
    static_configs: [ {{ targets: [ "{admin.removeprefix("http://")}" ] }} ]
""")
    port = free_port()
    process = subprocess.Popen(
        ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
         f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def wait_until_ready(prometheus: str, process: subprocess.Popen, patience: float = 60):
    """It listens before it can answer, and says 503 until its storage is open."""
    deadline, last = time.monotonic() + patience, None
    while time.monotonic() < deadline:
        assert process.poll() is None, f"it ended with {process.returncode}"
        try:
            last = requests.get(f"{prometheus}/-/ready", timeout=5).status_code
        except requests.RequestException as error:
            last = error
        if last == 200:
            return
        time.sleep(0.1)
    raise AssertionError(f"Prometheus is not ready: {last}")


def query(prometheus: str, expression: str, fits, patience: float = 60):
    """The answer to a query, once it fits."""
    deadline, found = time.monotonic() + patience, None
    while time.monotonic() < deadline:
        answer = requests.get(f"{prometheus}/api/v1/query", {"query": expression}, timeout=20)
        assert answer.status_code == 200, answer.text
        found = answer.json()["data"]["result"]
        if found and fits(found):
            return found
        time.sleep(0.3)
    raise AssertionError(f"{expression}: {found}")


def answered(admin: str) -> int:
    """How many answers of the function the proxy has counted for `orders`."""
    sample = r'^countersign_responses_total\{http_route="orders",origin="target",[^}]*\} (\d+)$'
    found = re.search(sample, requests.get(f"{admin}/metrics", timeout=10).text, re.MULTILINE)
    return int(found[1]) if found else 0


def test_prometheus_answers_for_the_p99_of_one_route(prometheus, operated):
    listener, admin = operated
    query(prometheus, 'up{job="countersign"}', lambda found: found[0]["value"][1] == "1")
    before = answered(admin)  # another test may have asked
    count = 'countersign_responses_total{http_route="orders",origin="target"}'
    for sent in range(5, 45, 5):
        for number in range(5):
            assert requests.get(f"{listener}/orders/health?{number}", timeout=10).status_code == 200
        requests.get(f"{listener}/nowhere", timeout=10)
        # A rate takes several readings: each burst is one.
        query(prometheus, count, lambda found: int(found[0]["value"][1]) == before + sent)
    p99 = (
        "histogram_quantile(0.99, sum by (le) "
        '(rate(http_server_request_duration_seconds_bucket{http_route="orders"}[30s])))'
    )
    found = query(prometheus, p99, lambda found: found[0]["value"][1] != "NaN")
    assert 0 < float(found[0]["value"][1]) < 10


def test_promtool_finds_nothing_to_mend_in_the_metrics(operated):
    listener, admin = operated
    assert requests.get(f"{listener}/orders/health", timeout=10).status_code == 200
    answer = requests.get(f"{admin}/metrics", timeout=10)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "/orders/health" not in answer.text
    checked = subprocess.run(["promtool", "check", "metrics"], input=answer.text, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr


@pytest.mark.parametrize("arguments", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_the_alert_rules_fire_when_they_should(arguments):
    checked = subprocess.run(["promtool", *arguments], cwd=RULES, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_metric_of_a_rule_is_one_that_there_is(operated):
    """A rule over a name that was mistyped is silent for ever."""
    _, admin = operated
    known = requests.get(f"{admin}/metrics", timeout=10).text
    source = "".join(path.read_text() for path in (RULES / ".." / ".." / "src" / "telemetry").rglob("*.rs"))
    for name in set(re.findall(r"\b(?:countersign|http)_[a-z_]+", (RULES / "alerts.yml").read_text())):
        if name not in ("http_route", "http_request_error", "http_request_denied"):
            name = name.removesuffix("_bucket")
            assert f"# TYPE {name} " in known or f'"{name}"' in source, name
