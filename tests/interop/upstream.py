"""A strict target on loopback: answers 200 only where the signature is right to the byte."""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable
from typing import NamedTuple

from judge import Arrived, Caller, access_key, faults


class Signed(NamedTuple):
    key: str
    signature: str
    target: str


class Upstream:
    """Serves in a thread of its own; `port` is known once it is entered. Who may sign is one caller, or
    what a function finds for an access key. Without `tls` it is plain http."""

    def __init__(self, caller: Caller | Callable[[str], Caller | None], tls: ssl.SSLContext | None = None):
        self.find = caller if callable(caller) else lambda _: caller
        self.tls, self.port = tls, None
        #: Who signed what, in order of arrival.
        self.arrived: list[Signed] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def signatures(self) -> list[str]:
        return [signed.signature for signed in self.arrived]

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls, limit=1 << 20)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)  # connections that are still open
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader, writer):
        try:
            while request := await read(reader):
                key, signature = access_key(request)
                self.arrived.append(Signed(key, signature, request.target))
                caller = self.find(key)
                found = faults(request, caller) if caller else [f"`{key}` is unknown or has expired"]
                writer.write(answer(request, found))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


async def read(reader) -> Arrived | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].split("\r\n")
    method, target, _ = first.split(" ")
    headers = [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)]
    request = Arrived(method, target, headers, b"")
    if request.all("expect"):
        request.faults.append("Expect was forwarded")
    if request.all("transfer-encoding"):
        request.framing, request.body = "chunked", await chunks(reader)
    elif length := request.one("content-length"):
        request.framing, request.body = "length", await reader.readexactly(int(length))
    return request


async def chunks(reader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


def answer(request: Arrived, found: list[str]) -> bytes:
    seen = {
        "faults": found,
        "method": request.method,
        "target": request.target,
        "headers": request.headers,
        "length": len(request.body),
        "framing": request.framing,
    }
    body = json.dumps(seen).encode()
    status = "403 Forbidden" if found else "200 OK"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    head += "Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n\r\n"
    return head.encode() + (b"" if request.method == "HEAD" else body)
