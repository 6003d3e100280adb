"""OTLP documents with spans, built from short arguments."""

import json

START = 1_767_225_600 * 10**9


def value(content):
    kind = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return {kind[type(content)]: str(content) if type(content) is int else content}


def pairs(values):
    return [{"key": key, "value": value(content)} for key, content in values.items()]


def span(values=(), status=None, kind=3, number=1, **changes):
    """Build a client's span with the id ``number``."""
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": f"{number:016x}",
        "name": "GET",
        "kind": kind,
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 7_000_001),
        "attributes": pairs({"server.address": "bank", **dict(values)}),
        "status": {} if status is None else {"code": status},
        **changes,
    }


def resource(*spans, service="shop", scopes="scopeSpans"):
    return {
        "resource": {"attributes": pairs({"service.name": service})},
        scopes: [{"scope": {}, "spans": list(spans)}],
    }


def traces(*spans, **options):
    return {"resourceSpans": [resource(*spans, **options)]}


def lines(*documents):
    return "".join(json.dumps(document) + "\n" for document in documents)
