"""An agent as of ECS or EKS on loopback, whose moods the test decides."""

import datetime
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from judge import Caller


class Agent:
    """Gives credentials that live for `lifetime` seconds, new ones at each request; every one is
    remembered with its end, and each request with its time."""

    def __init__(self, lifetime: float, host: str = "127.0.0.1", port: int = 0, token: str | None = None):
        self.lifetime, self.mood, self.token = lifetime, "up", token
        self.asked: list[float] = []
        self.ends: dict[str, float] = {}
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                agent._answer(self)

            do_PUT = do_GET

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            daemon_threads = True

        self._server = Server((host, port), Handler)
        address = f"[{host}]" if ":" in host else host
        self.url = f"http://{address}:{self._server.server_address[1]}/v2/credentials/id"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler):
        self.asked.append(time.time())
        if self.mood == "hangs":
            time.sleep(60)
        if self.mood != "up":
            return request.send_error(500)
        if request.headers["authorization"] != self.token:
            return request.send_error(401)
        self._send(request, json.dumps(self.issue()))

    def _send(self, request: BaseHTTPRequestHandler, text: str):
        body = text.encode()
        request.send_response(200)
        request.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def issue(self) -> dict[str, str]:
        # Whole seconds: that is all that an Expiration tells.
        end = int(time.time() + self.lifetime)
        key = f"ASIAISSUED{len(self.ends):06}"
        self.ends[key] = end
        return {
            "AccessKeyId": key,
            "SecretAccessKey": secret_of(key),
            "Token": token_of(key),
            "Expiration": datetime.datetime.fromtimestamp(end, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def caller(self, key: str) -> Caller | None:
        """Who signs with a key that was given, whether it has ended or not."""
        return Caller(key, secret_of(key), token_of(key)) if key in self.ends else None

    def valid_caller(self, key: str) -> Caller | None:
        """Who signs with a key that has not ended: as AWS judges."""
        return self.caller(key) if time.time() < self.ends.get(key, 0) else None

    def secrets(self) -> list[str]:
        return [value for key in self.ends for value in (secret_of(key), token_of(key))]


class Imds(Agent):
    """Version 2 of the instance's metadata service: nothing without a token that was asked for by PUT."""

    TOKEN, ROLES = "AQAAAtoken-of-imds==", "/latest/meta-data/iam/security-credentials/"

    def _answer(self, request: BaseHTTPRequestHandler):
        self.asked.append(time.time())
        lifetime = request.headers["x-aws-ec2-metadata-token-ttl-seconds"]
        if (request.command, request.path) == ("PUT", "/latest/api/token") and lifetime:
            return self._send(request, self.TOKEN)
        if request.command != "GET" or request.headers["x-aws-ec2-metadata-token"] != self.TOKEN:
            return request.send_error(401)
        if request.path == self.ROLES:
            return self._send(request, "the-role")
        if request.path == self.ROLES + "the-role":
            return self._send(request, json.dumps({"Code": "Success", "Type": "AWS-HMAC", **self.issue()}))
        request.send_error(404)

    def secrets(self) -> list[str]:
        return [self.TOKEN, *super().secrets()]


def secret_of(key: str) -> str:
    return f"secret/of/{key}/wJalrXUtnFEMI"


def token_of(key: str) -> str:
    return f"IQoJb3JpZ2luX2Vj/token/of/{key}=="
