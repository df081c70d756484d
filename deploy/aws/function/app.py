"""A function behind a Function URL (payload format 2.0); it answers as `countersign emulate` does."""
import base64
import json


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def handler(event, _context):
    context = event["requestContext"]
    method, path = context["http"]["method"], event["rawPath"]
    caller = context.get("authorizer", {}).get("iam", {}).get("userArn")
    if (method, path) == ("GET", "/health"):
        return answer(200, {"status": "healthy", "caller": caller})
    if (method, path) == ("POST", "/process"):
        body = event.get("body") or ""
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body).decode("utf-8", "replace")
        try:
            received = json.loads(body)
        except ValueError:
            received = body
        return answer(200, {"message": "Data processed successfully", "received": received, "caller": caller})
    return answer(404, {"error": "Not Found", "method": method, "path": path})
