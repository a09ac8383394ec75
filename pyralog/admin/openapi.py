"""The HTTP interface as an OpenAPI 3.1 document, made from the routing table (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pyralog.admin.routes_model import Json, Parameter, Route

_NAME = re.compile(r"\{(\w+)\}")


def document(routes: Iterable[Route], version: str) -> dict[str, Json]:
    """Paths, parameters and what each answers."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pyralog",
            "version": version,
            "description": "Read-only state of a node and its cluster. Field names are stable within a major version.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {route.path: {"get": _operation(route)} for route in routes},
        "components": {"schemas": {"Refusal": _REFUSAL}},
    }


_REFUSAL: Json = {
    "type": "object",
    "required": ["status", "error"],
    "properties": {
        "status": {"type": "integer", "description": "The status of HTTP."},
        "error": {"type": "string"},
        "nearest": {"type": ["string", "null"], "description": "The path that a mistyped one is most like."},
    },
}


def _operation(route: Route) -> dict[str, Json]:
    names = _NAME.findall(route.path)
    refusal = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}}
    media = route.media.partition(";")[0]
    schema: dict[str, Json] = {"type": "object"} if media == "application/json" else {"type": "string"}
    answers: dict[str, Any] = {"200": {"description": route.doc, "content": {media: {"schema": schema}}}}
    if names or route.parameters:
        answers["400"] = {"description": "A parameter is no good.", **refusal}
    if names:
        answers["404"] = {"description": "There is no such thing.", **refusal}
    if route.path.startswith("/health"):
        answers["503"] = {"description": "The node is not well; the document says why."}
    identity = re.sub(r"\W+", "_", route.path).strip("_")
    parameters: list[Json] = [_path_parameter(name) for name in names]
    parameters += [_query_parameter(one) for one in route.parameters]
    return {"operationId": identity, "summary": route.doc, "parameters": parameters, "responses": answers}


def _path_parameter(name: str) -> Json:
    kind = "integer" if name == "partition" else "string"
    return {"name": name, "in": "path", "required": True, "schema": {"type": kind}}


def _query_parameter(one: Parameter) -> Json:
    return {"name": one.name, "in": "query", "description": one.doc, "schema": {"type": one.kind}}
