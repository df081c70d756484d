"""Calls another function as any HTTP service: countersign, beside it in this environment, signs."""
import json
import os
import urllib.request


def handler(_event, _context):
    with urllib.request.urlopen(os.environ["CALLEE_URL"] + "/health", timeout=10) as answered:
        return {"status": answered.status, "answer": json.load(answered)}
