"""Built with the feature `otlp`, one request's spans arrive at a collector as one trace, part of its client's."""

import http.server
import os
import threading

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from conftest import environment, free_port, running

#: The feature is off by default, so that this is another build than that of the other tests.
BINARY = os.environ["COUNTERSIGN_OTLP"]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes what is exported, and says that it did."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        exported = ExportTraceServiceRequest.FromString(body)
        for resource in exported.resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            self.server.spans += [(names["service.name"], span) for span in spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.spans = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def attributes(span) -> dict:
    value = lambda pair: pair.value.string_value or pair.value.int_value  # noqa: E731
    return {pair.key: value(pair) for pair in span.attributes}


@pytest.mark.parametrize("log", ["info", "off"])
def test_one_request_is_one_trace_and_part_of_its_clients(tmp_path, caller, emulator, collector, log):
    port = free_port()
    (tmp_path / "t.toml").write_text(f"""
        listen = ["127.0.0.1:{port}"]
        admin = false
        log = "{log}"

        [targets.function]
        url = "{emulator}"
        service = "lambda"
        region = "us-east-1"

        [[routes]]
        name = "everything"
        target = "function"
    """)
    variables = {
        **environment(caller),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_SERVICE_NAME": "orders-sidecar",
    }
    with running([BINARY, "run", "--config", tmp_path / "t.toml"], port, env=variables):
        answer = requests.post(
            f"http://127.0.0.1:{port}/process?q=hush", data="hush", timeout=10,
            headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "content-type": "text/plain"},
        )  # fmt: skip
        assert answer.status_code == 200
    # What is left is sent before the end.

    assert {service for service, _ in collector.spans} == {"orders-sidecar"}
    spans = {span.name: span for _, span in collector.spans}
    assert sorted(span.name for _, span in collector.spans) == ["attempt", "body", "credentials", "request"]
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    request = spans["request"]
    assert request.parent_span_id.hex() == PARENT
    for name in ("attempt", "body", "credentials"):
        assert spans[name].parent_span_id == request.span_id, name
        assert request.start_time_unix_nano <= spans[name].start_time_unix_nano
        assert spans[name].end_time_unix_nano <= request.end_time_unix_nano
    assert (request.kind, spans["attempt"].kind) == (request.SPAN_KIND_SERVER, request.SPAN_KIND_CLIENT)
    said = attributes(request)
    assert said["http.route"] == "everything"
    assert (said["http.request.method"], said["http.response.status_code"]) == ("POST", 200)
    assert attributes(spans["attempt"])["http.response.status_code"] == 200
    told = str(collector.spans)
    for hidden in ("hush", caller.secret, caller.token, "Signature"):
        assert hidden not in told
