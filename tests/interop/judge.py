"""Signs a request that arrived once more, with botocore and with awscrt, and compares.

Both are AWS's own code; neither has seen ours. What each canonicalises is the request as it
arrived: the raw target, and the headers that its Authorization names.
"""

import datetime
import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

import awscrt.auth
import awscrt.http
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<signed>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Caller:
    """Who is expected to have signed, and for what."""

    key: str
    secret: str
    token: str | None
    region: str = "us-east-1"
    service: str = "lambda"


@dataclass
class Arrived:
    """A request as its bytes came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    framing: str = "none"
    faults: list[str] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header.lower() == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        if len(values) > 1:
            self.faults.append(f"{len(values)} {name} headers")
        return values[0] if values else None


def access_key(request: Arrived) -> tuple[str, str]:
    """The access key and the signature of a request; empty where it has none."""
    match = AUTHORIZATION.fullmatch((request.all("authorization") or [""])[0])
    return (match["key"], match["signature"]) if match else ("", "")


def faults(request: Arrived, caller: Caller) -> list[str]:
    """Everything that is wrong with the signature; empty where it is right."""
    found = request.faults
    match = AUTHORIZATION.fullmatch(request.one("authorization") or "")
    if not match:
        return found + ["Authorization is missing or malformed"]
    signed = match["signed"].split(";")
    stamp = request.one("x-amz-date") or ""
    digest = request.one("x-amz-content-sha256") or ""
    expected = (caller.key, stamp[:8], caller.region, caller.service)
    if match.group("key", "day", "region", "service") != expected:
        found.append("the credential scope is another")
    if request.one("x-amz-security-token") != caller.token:
        found.append("the session token is another")
    if digest != hashlib.sha256(request.body).hexdigest():
        found.append("x-amz-content-sha256 is not the body's")
    if signed != sorted(set(signed)) or "host" not in signed:
        found.append("SignedHeaders is not sorted, or lacks host")
    present = {name.lower() for name, _ in request.headers}
    must = {name for name in present if name.startswith("x-amz-") or name == "content-type"} | {"host"}
    if set(signed) != must:
        found.append(f"signed are {signed}, not {sorted(must)}")
    when = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if abs(datetime.datetime.now(datetime.timezone.utc) - when) > datetime.timedelta(minutes=5):
        found.append("the date is more than five minutes off")
    if by_botocore(request, caller, signed, stamp, digest) != match["signature"]:
        found.append("botocore signs otherwise")
    if by_awscrt(request, caller, signed, when, digest) != match["signature"]:
        found.append("awscrt signs otherwise")
    return found


def by_botocore(request: Arrived, caller: Caller, signed: list[str], stamp: str, digest: str) -> str:
    path, _, query = request.target.partition("?")
    auth = SigV4Auth(Credentials(caller.key, caller.secret, caller.token), caller.service, caller.region)
    # botocore takes a query as its own serialiser wrote it, so it is decoded and encoded first.
    url = f"https://{request.one('host')}{path}" + (f"?{reencoded(query)}" if query else "")
    aws = AWSRequest(method=request.method, url=url)
    aws.context["timestamp"] = stamp
    for name, value in request.headers:
        if name.lower() in signed:
            aws.headers.add_header(name, value)
    canonical = "\n".join([
        request.method,
        auth._normalize_url_path(as_text(path)),
        auth.canonical_query_string(aws),
        auth.canonical_headers(aws.headers) + "\n",
        ";".join(signed),
        digest,
    ])
    return auth.signature(auth.string_to_sign(aws, canonical), aws)


def as_text(path: str) -> str:
    """The raw bytes of a path as both libraries want them: as text, which they encode as UTF-8."""
    return path.encode("latin-1").decode("utf-8")


def reencoded(query: str) -> str:
    pairs = [part.partition("=") for part in query.split("&")]
    return "&".join(f"{encoded(name)}={encoded(value)}" for name, _, value in pairs)


def encoded(text: str) -> str:
    return quote(unquote_to_bytes(text.encode("latin-1")), safe="-_.~")


def by_awscrt(request: Arrived, caller: Caller, signed: list[str], when, digest: str) -> str:
    headers = awscrt.http.HttpHeaders()
    own = {"x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}  # it adds these itself
    for name in signed:
        if name not in own:
            # RFC 9110, 5.3: several of one name are one with commas; awscrt wants it so.
            joined = ",".join(" ".join(value.split(" ")).strip() for value in request.all(name))
            headers.add(name, joined.encode("latin-1").decode("utf-8"))
    config = awscrt.auth.AwsSigningConfig(
        algorithm=awscrt.auth.AwsSigningAlgorithm.V4,
        signature_type=awscrt.auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=awscrt.auth.AwsCredentialsProvider.new_static(caller.key, caller.secret, caller.token),
        region=caller.region,
        service=caller.service,
        date=when,
        use_double_uri_encode=True,
        should_normalize_uri_path=True,
        signed_body_value=digest,
        signed_body_header_type=awscrt.auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
    )
    path, mark, query = request.target.partition("?")
    target = path + (mark + reencoded(query) if query else "")
    signed_request = awscrt.auth.aws_sign_request(
        awscrt.http.HttpRequest(request.method, as_text(target), headers), config
    ).result(timeout=10)
    return signed_request.headers.get("Authorization").rpartition("Signature=")[2]
