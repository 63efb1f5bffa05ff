"""The OpenAPI 3.1 document of every route: ``GET /docs.json``.

https://spec.openapis.org/oas/v3.1.0. Schemas come from the contracts themselves.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from bentos.explaining import FORMATS, METHODS
from bentos.lookups import Label
from bentos.problems import MEDIA_TYPE
from bentos.uploads import MAX_PARTS
from mlops_assets.contracts.prediction import Answer, FeedbackRecord, PredictionRecord
from mlops_assets.contracts.receipt import Receipt

Json = dict[str, Any]
ID: Final[Json] = {
    "name": "prediction_id", "in": "path", "required": True,
    "schema": {"type": "string", "pattern": "^0[0-9a-f]{31}$"},
}
BINARY: Final[Json] = {"type": "string", "format": "binary"}
IMAGE_BODY: Final[Json] = {
    "required": True,
    "content": {
        "image/*": {"schema": BINARY},
        "multipart/form-data": {"schema": {
            "type": "object", "required": ["image"], "properties": {"image": BINARY},
            "maxProperties": MAX_PARTS}},
    },
}
PROBLEM: Final[Json] = {
    "type": "object", "required": ["type", "title", "status", "detail"],
    "description": "RFC 9457 problem details",
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"},
        "status": {"type": "integer"}, "detail": {"type": "string"},
    },
}
TEXT: Final[Json] = {"type": "string"}
EXPLANATION: Final[Json] = {
    "type": "object", "required": ["label", "target", "confidence", "method", "heat", "model"],
    "properties": {
        "label": TEXT, "target": TEXT, "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "method": {"enum": list(METHODS)},
        "heat": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "model": {"type": "object", "required": ["version", "sha256"],
                  "properties": {"version": TEXT, "sha256": TEXT}},
    },
}
MODELS: Final[Json] = {
    "type": "object", "required": ["models", "step", "revision"],
    "properties": {
        "step": TEXT, "revision": {"type": "integer"},
        "models": {"type": "array", "items": {
            "type": "object",
            "required": ["slot", "weight", "bento_tag", "sha256", "name", "version", "classes"],
            "properties": {
                "slot": TEXT, "weight": {"type": "number"}, "bento_tag": TEXT, "sha256": TEXT,
                "name": TEXT, "version": TEXT, "classes": {"type": "array", "items": TEXT}}}},
    },
}
REFUSALS: Final = {
    400: "the request is malformed, or carries several credentials", 401: "no valid credential",
    403: "the credential lacks the scope", 404: "there is no such thing",
    405: "another method is meant", 408: "the body came too slowly",
    413: "too many bytes or pixels", 415: "another media type is meant",
    422: "understood, but not acceptable", 429: "too many requests of this caller",
    503: "busy, or the answer could not be kept; come back after Retry-After seconds",
}
# Headers of a refusal, and whether it always has them.
LATER: Final = {"Retry-After": ("seconds until it makes sense to come back", True)}
HEADERS: Final[dict[int, dict[str, tuple[str, bool]]]] = {
    401: {"WWW-Authenticate": ("the schemes that are taken", True)},
    405: {"Allow": ("the methods that there are", True)},
    408: {"Connection": ("`close`: what is left of the body is not read", True)},
    429: LATER, 503: LATER,
}
COMMON: Final = (400, 401, 403, 405, 429, 503)
BODY: Final = (408, 413, 415, 422)


def _schema(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _query(name: str, *allowed: str) -> Json:
    schema: Json = {"type": "string"} | ({"enum": list(allowed)} if allowed else {})
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _operation(
    summary: str, good: Json, *, refusals: tuple[int, ...] = (), scope: str | None = None,
    **more: Any,
) -> Json:
    responses: Json = {"200": {"description": "done", "content": good}}
    for status in sorted({*refusals, *(COMMON if scope else ())}):
        responses[str(status)] = {
            "description": REFUSALS[status],
            "headers": {
                name: {"description": text, "required": required, "schema": {"type": "string"}}
                for name, (text, required) in HEADERS.get(status, {}).items()
            },
            "content": {MEDIA_TYPE: {"schema": _schema("Problem")}},
        }
    if scope:
        summary = f"{summary} Needs scope `{scope}`."
        more["security"] = [{"bearer": []}, {"key": []}]
    return {"summary": summary, "responses": responses, **more}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _paths() -> Json:
    outcome: Json = {"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "answer": _schema("Answer"), "problem": _schema("Problem")}}
    results: Json = {"type": "object", "required": ["results"], "properties": {
        "results": {"type": "array", "items": outcome}}}
    client: Json = {"name": "X-Client-Id", "in": "header", "required": False,
                    "description": "one client keeps one slot", "schema": {"type": "string"}}
    native = {"type": "object", "required": ["image"], "properties": {
        "image": {"type": "string", "format": "byte", "contentEncoding": "base64",
                  "minLength": 4}}}
    return {
        "/v1/predict": {"post": _operation(
            "Classify one image.", _json(_schema("Answer")), refusals=BODY, scope="predict",
            requestBody=IMAGE_BODY, parameters=[client])},
        "/v1/predict_batch": {"post": _operation(
            "Classify many images; each has an outcome of its own.", _json(results),
            refusals=BODY, scope="predict", parameters=[client], requestBody={
                "required": True, "content": {
                    "multipart/form-data": {"schema": {
                        "type": "object", "required": ["image"], "properties": {
                            "image": {"type": "array", "items": BINARY, "minItems": 1}},
                        "maxProperties": MAX_PARTS}},
                    "application/zip": {"schema": BINARY},
                    "application/vnd.apache.arrow.stream": {"schema": BINARY}}})},
        "/v1/explain": {"post": _operation(
            "Which pixels an answer rests on.",
            {"image/png": {"schema": BINARY}, **_json(EXPLANATION)},
            refusals=BODY, scope="explain", requestBody=IMAGE_BODY, parameters=[
                _query("method", *METHODS), _query("format", *FORMATS), _query("target")])},
        "/v1/feedback": {"post": _operation(
            "The true label of an earlier answer.", _json(_schema("FeedbackRecord")),
            refusals=(*BODY, 404), scope="feedback",
            requestBody={"required": True, "content": _json(_schema("Label"))})},
        "/v1/predictions/{prediction_id}": {"get": _operation(
            "The record of one answer.", _json(_schema("PredictionRecord")), refusals=(404,),
            scope="predict", parameters=[ID])},
        "/v1/predictions/{prediction_id}/receipt": {"get": _operation(
            "What one answer came from.", _json(_schema("Receipt")), refusals=(404,),
            scope="predict", parameters=[ID])},
        "/v1/models": {"get": _operation(
            "What each slot holds.", _json(MODELS), scope="predict")},
        "/predict": {"post": _operation(
            "BentoML's own route: classify one image given as base64.",
            _json(_schema("Answer")), refusals=BODY, scope="predict",
            requestBody={"required": True, "content": _json(native)})},
        "/metrics": {"get": _operation(
            "Prometheus metrics.", {"text/plain": {"schema": {"type": "string"}}},
            refusals=COMMON)},
        "/livez": {"get": _operation("Whether the process lives.",
                                     {"text/plain": {"schema": {"type": "string"}}})},
        "/readyz": {"get": _operation("Whether it takes requests.",
                                      {"text/plain": {"schema": {"type": "string"}}},
                                      refusals=(503,))},
    }


@cache
def describe() -> Json:
    """The document."""
    contracts = (Answer, PredictionRecord, FeedbackRecord, Receipt, Label)
    _, definitions = models_json_schema(
        [(each, "serialization") for each in contracts],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "classifier", "version": "1",
                 "description": "Image classification with a receipt for every answer."},
        "paths": _paths(),
        "components": {
            "schemas": {**definitions["$defs"], "Problem": PROBLEM},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }
