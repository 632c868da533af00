"""The documentation page: the OpenAPI document as HTML, written on the server."""

from __future__ import annotations

import json
import re
import shlex
from html import escape
from typing import Any

from serving.http import problems
from serving.http.pages.style import page, table

_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")


def docs_page(document: dict[str, Any]) -> str:
    """Return the documentation as one HTML page.

    Args:
        document: The OpenAPI document.
    """
    routes = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    index = table(
        ["route", "gives"],
        [
            [
                f'<a href="#{operation["operationId"]}">{_verb(method)} <code>{path}</code></a>',
                _text(operation["summary"]),
            ]
            for path, method, operation in routes
        ],
    )
    info = document["info"]
    body = (
        f"<h1>{escape(info['title'])} API</h1>"
        f'<p class="lead">Version {escape(info["version"])}. The same as a document for machines: '
        '<a href="/openapi.json">openapi.json</a>. <a href="/">Back to what is served.</a></p>'
        + "".join(f"<p>{_text(part)}</p>" for part in info["description"].strip().split("\n\n"))
        + f"<h2>Routes</h2>{index}"
        + "".join(_route(path, method, operation) for path, method, operation in routes)
        + _problems()
        + f'<h2 id="schemas">Schemas</h2>{_schemas(document["components"]["schemas"])}'
    )
    return page("Ebbflow API", body)


def _text(markdown: str) -> str:
    """Turn the two marks that descriptions use, code and bold, into HTML."""
    return _BOLD.sub(r"<b>\1</b>", _CODE.sub(r"<code>\1</code>", escape(markdown, quote=False)))


def _verb(method: str) -> str:
    return f'<span class="verb">{method.upper()}</span>'


def _route(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [
        f'<section class="route" id="{operation["operationId"]}">',
        f"<h3>{_verb(method)} <code>{path}</code></h3>",
        f"<p>{_text(operation['summary'])}. {_text(operation['description'])}</p>",
    ]
    if operation.get("parameters"):
        parts.append(_parameters(operation["parameters"]))
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if sent:
        parts.append(f"<p>Body: {_type(sent['schema'])}</p>")
    parts.append(f"<pre>{escape(_curl(path, method, sent))}</pre>")
    parts.append(_responses(operation["responses"]))
    return "".join(parts) + "</section>"


def _parameters(parameters: list[dict[str, Any]]) -> str:
    return table(
        ["parameter", "in", "type", "what"],
        [
            [
                f"<code>{escape(p['name'])}</code>" + (" (required)" if p.get("required") else ""),
                p["in"],
                _type(p["schema"]),
                _text(p.get("description") or p["schema"].get("description", "")),
            ]
            for p in parameters
        ],
    )


def _curl(path: str, method: str, sent: dict[str, Any] | None) -> str:
    if sent is None:
        return f"curl -s http://127.0.0.1:3000{path}"
    body = shlex.quote(json.dumps(sent.get("example"), ensure_ascii=False))
    return (
        f"curl -s -X {method.upper()} http://127.0.0.1:3000{path} \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d {body}"
    )


def _responses(responses: dict[str, Any]) -> str:
    rows, shown = [], ""
    for status, response in responses.items():
        kinds = response.get("content", {})
        types = "<br>".join(
            f"<code>{escape(k)}</code> {_type(c['schema'])}" for k, c in kinds.items()
        )
        rows.append([status, types, _text(response["description"])])
        if status == "200":
            for kind, described in kinds.items():
                example = described.get("example")
                if example is not None:
                    text = example if isinstance(example, str) else json.dumps(example, indent=1)
                    shown += (
                        f"<details><summary>Example, <code>{escape(kind)}</code></summary>"
                        f"<pre>{escape(text)}</pre></details>"
                    )
    return table(["status", "type", "when"], rows) + shown


def _problems() -> str:
    rows = [
        [
            f'<span id="problem-{kind.name}"><code>{kind.type}</code></span>',
            str(kind.status),
            escape(kind.title),
            _text(kind.doc),
        ]
        for kind in problems.KINDS.values()
    ]
    return (
        '<h2 id="problems">Problems</h2><p>Every answer that is not a success is '
        f"<code>{problems.PROBLEM_TYPE}</code> of one shape, "
        '<a href="#schema-ProblemDetails">ProblemDetails</a>.</p>'
        + table(["type", "status", "title", "what to do"], rows)
    )


def _schemas(schemas: dict[str, Any]) -> str:
    parts = []
    for name, schema in sorted(schemas.items()):
        required = schema.get("required", [])
        rows = [
            [
                f"<code>{escape(field)}</code>" + (" (required)" if field in required else ""),
                _type(about),
                _text(about.get("description", "")) + _example(about),
            ]
            for field, about in schema.get("properties", {}).items()
        ]
        parts.append(
            f'<h3 id="schema-{name}">{name}</h3><p>{_text(schema.get("description", ""))}</p>'
            + table(["field", "type", "what"], rows)
        )
    return "".join(parts)


def _example(about: dict[str, Any]) -> str:
    examples = about.get("examples")
    if not examples:
        return ""
    text = json.dumps(examples[0], ensure_ascii=False)
    return f' <span class="soft">Such as <code>{escape(text)}</code>.</span>'


def _type(schema: dict[str, Any]) -> str:
    """Return a schema's type in words, with a link where it has a name."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'])}"
    kind = escape(str(schema.get("format") or schema.get("type", "any")))
    return kind + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    words = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
        "minItems": "at least",
        "maxItems": "at most",
    }
    found = [f"{word} {schema[key]:g}" for key, word in words.items() if key in schema]
    return f" ({', '.join(found)})" if found else ""
