"""The documentation page: the OpenAPI document as HTML, written on the server."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from serving.pages.render import render

Json = dict[str, Any]

BASE = "http://127.0.0.1:3000"
_PROBLEM_TYPE = "application/problem+json"
_QUERIES = {
    "get_forecast": "?queue=sales&quantile=0.1&quantile=0.9",
    "get_scores": "?tier=high&limit=1000",
}
_BOUNDS = {
    "minimum": "from {:g}",
    "exclusiveMinimum": "above {:g}",
    "maximum": "to {:g}",
    "exclusiveMaximum": "below {:g}",
    "minItems": "at least {}",
    "maxItems": "at most {}",
}


@dataclass(frozen=True)
class Operation:
    """One operation as the page shows it.

    Attributes:
        about: The document's own description of it.
        body: The JSON body's content; None where it takes none.
        curl: Commands to try it with.
        responses: Example responses by media type.
    """

    path: str
    method: str
    about: Json
    body: Json | None
    curl: str
    responses: dict[str, str]


def docs_page(document: Json, *, problems: Iterable[object]) -> str:
    """Return the documentation as one HTML page.

    ``document`` is the OpenAPI document; each kind of problem has `name`, `type`, `status`,
    `title` and `doc`.
    """
    schemas = document["components"]["schemas"]
    fields = schemas["ProblemDetails"]["properties"].items()
    return render(
        "docs.html",
        info=document["info"],
        groups=[(tag, _operations(document, tag["name"])) for tag in document["tags"]],
        schemas=schemas,
        problems=problems,
        problem_type=_PROBLEM_TYPE,
        problem_example=_json({field: _examples(about)[0] for field, about in fields}, indent=1),
        type_of=type_html,
        examples_of=_examples,
        json_of=_json,
    )


def _operations(document: Json, tag: str) -> list[Operation]:
    return [
        _operation(path, method, about)
        for path, methods in document["paths"].items()
        for method, about in methods.items()
        if tag in about["tags"]
    ]


def _operation(path: str, method: str, about: Json) -> Operation:
    success = next(r for status, r in about["responses"].items() if str(status).startswith("2"))
    content = success.get("content", {})
    body = about.get("requestBody", {}).get("content", {}).get("application/json")
    address = BASE + path + _QUERIES.get(about["operationId"], "")
    if body is None:
        # The first type is what a client gets that names none.
        accepts = ["", *(f"-H 'Accept: {kind}' " for kind in list(content)[1:])]
        curl = "\n".join(f"curl -s {accept}{shlex.quote(address)}" for accept in accepts)
    else:
        fields = [f"  {_json(field)}: {_json(value)}" for field, value in body["example"].items()]
        body_text = shlex.quote("{\n" + ",\n".join(fields) + "\n}")
        header = "-H 'Content-Type: application/json'"
        curl = f"curl -s -X {method.upper()} {address} \\\n  {header} \\\n  -d {body_text}"
    responses = {
        kind: example if isinstance(example, str) else json.dumps(example, indent=1)
        for kind, about in content.items()
        if (example := about.get("example")) is not None
    }
    return Operation(path, method, about, body, curl, responses)


def _json(value: Any, *, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _examples(about: Json) -> list[Any]:
    return about.get("examples") or ([about["example"]] if "example" in about else [])


def type_html(schema: Json, *, optional: bool = False) -> Markup:
    """Return a schema's type in words, with a link where it has a name.

    Null is not named where the value is ``optional``.

    >>> print(type_html({"type": "array", "items": {"$ref": "#/Interval"}, "maxItems": 9}))
    list of <a href="#schema-Interval">Interval</a> (at most 9)
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        options = [o for o in schema["anyOf"] if not (optional and o.get("type") == "null")]
        return Markup(" or ").join(map(type_html, options))
    if "enum" in schema:
        codes = (Markup("<code>{}</code>").format(json.dumps(value)) for value in schema["enum"])
        return Markup(" or ").join(codes)
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return Markup("map to {}").format(type_html(schema["additionalProperties"]))
    if schema.get("type") == "array":
        kind = Markup("list of {}").format(type_html(schema.get("items", {})))
    else:
        kind = Markup("{}").format(schema.get("format") or schema.get("type", "any"))
    bounds = [text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema]
    return kind + f" ({', '.join(bounds)})" if bounds else kind
