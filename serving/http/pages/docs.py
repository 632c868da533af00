"""The documentation page: the OpenAPI document as HTML, written on the server."""

from __future__ import annotations

import json
import shlex
from html import escape
from typing import Any

from serving.http import problems
from serving.http.pages.style import page, prose, table

Json = dict[str, Any]

BASE = "http://127.0.0.1:3000"
_QUERIES = {
    "get_forecast": "?queue=sales&quantile=0.1&quantile=0.9",
    "get_scores": "?tier=high&limit=1000",
}
_STYLE = """
body{max-width:80rem}
@media (min-width:60rem){.two{display:grid;grid-template-columns:15rem minmax(0,1fr);gap:2.5rem}
.contents{position:sticky;top:1rem;max-height:calc(100vh - 2rem);overflow-y:auto}}
.contents{font-size:.9rem}.contents ul{list-style:none;margin:.2rem 0 1rem;padding:0}
.contents li{margin:.15rem 0}.contents a{margin:0;text-decoration:none}
.contents a:hover{text-decoration:underline}
.verb{display:inline-block;min-width:2.9rem;text-align:center;border-radius:4px;padding:0 .4rem;
color:var(--paper);background:var(--get);font:700 .72rem/1.5 ui-monospace,monospace}
.verb.post{background:var(--post)}
.route{border-top:2px solid var(--line);margin-top:2rem}.route h3{margin-top:1rem}
.route h3 code{font-size:1.05rem}td:first-child code{white-space:nowrap}
td{min-width:4.5rem}
"""


def docs_page(document: Json) -> str:
    """Return the documentation as one HTML page.

    Args:
        document: The OpenAPI document.
    """
    info, schemas = document["info"], document["components"]["schemas"]
    groups = [(tag, _operations(document, tag["name"])) for tag in document["tags"]]
    routes = "".join(
        f'<h2 id="{tag["name"]}">{escape(tag["name"].capitalize())}</h2>'
        f"<p>{prose(tag['description'])}</p>"
        + "".join(_route(path, method, operation, schemas) for path, method, operation in found)
        for tag, found in groups
    )
    body = (
        f"<header><h1>{escape(info['title'])} API</h1>"
        f'<p class="lead">Version {escape(info["version"])}. For programs: '
        '<a href="/openapi.json">openapi.json</a>. <a href="/">What is served now.</a></p></header>'
        f'<div class="two">{_contents(groups)}<main id="main">'
        + "".join(f"<p>{prose(part)}</p>" for part in info["description"].strip().split("\n\n"))
        + f"{routes}{_problems(schemas)}"
        + f'<h2 id="schemas">Schemas</h2>{_schemas(schemas)}</main></div>'
    )
    return page("Ebbflow API", body, style=_STYLE)


def _operations(document: Json, tag: str) -> list[tuple[str, str, Json]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag in operation["tags"]
    ]


def _contents(groups: list[tuple[Json, list[tuple[str, str, Json]]]]) -> str:
    parts = []
    for tag, found in groups:
        items = "".join(
            f'<li><a href="#{operation["operationId"]}">{_verb(method)} <code>{path}</code></a>'
            for path, method, operation in found
        )
        title = f'<a href="#{tag["name"]}"><b>{escape(tag["name"].capitalize())}</b></a>'
        parts.append(f"{title}<ul>{items}</ul>")
    more = '<a href="#problems"><b>Problems</b></a><br><a href="#schemas"><b>Schemas</b></a>'
    return f'<nav class="contents" aria-label="Contents">{"".join(parts)}{more}</nav>'


def _verb(method: str) -> str:
    return f'<span class="verb {method}">{method.upper()}</span>'


def _route(path: str, method: str, operation: Json, schemas: Json) -> str:
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json")
    parts = [
        f'<section class="route" id="{operation["operationId"]}">'
        f"<h3>{_verb(method)} <code>{path}</code></h3>"
        f"<p><b>{prose(operation['summary'])}.</b> {prose(operation['description'])}</p>"
    ]
    if operation.get("parameters"):
        parts.append(f"<h4>Parameters</h4>{_parameters(operation['parameters'])}")
    if sent:
        name = sent["schema"]["$ref"].rpartition("/")[2]
        parts.append(f"<h4>Body, {_type(sent['schema'])}</h4>{_fields(schemas[name])}")
    answers = _success(operation).get("content", {})
    parts.append(f"<h4>Example</h4><pre>{escape(_curl(path, method, operation, sent))}</pre>")
    parts.append("".join(_answer(kind, content) for kind, content in answers.items()))
    parts.append(_responses(operation["responses"]))
    return "".join(parts) + "</section>"


def _success(operation: Json) -> Json:
    found: Json = next(
        answer for status, answer in operation["responses"].items() if str(status).startswith("2")
    )
    return found


def _parameters(parameters: list[Json]) -> str:
    rows = []
    for about in parameters:
        schema = about["schema"]
        must = ", required" if about.get("required") else ""
        rows.append(
            [
                f"<code>{escape(about['name'])}</code>",
                f"{about['in']}{must}",
                _type(schema, optional=True),
                prose(about.get("description") or schema.get("description", ""))
                + _default(schema)
                + _such_as(schema | about),
            ]
        )
    return table(["name", "in", "type", "what"], rows)


def _fields(schema: Json) -> str:
    """Return the table of a schema's fields."""
    required = schema.get("required", [])
    rows = [
        [
            f"<code>{escape(field)}</code>",
            _type(about, optional=field not in required)
            + (", required" if field in required else ""),
            prose(about.get("description", "")) + _default(about) + _such_as(about),
        ]
        for field, about in schema.get("properties", {}).items()
    ]
    return table(["field", "type", "what"], rows)


def _default(schema: Json) -> str:
    value = schema.get("default")
    return "" if value is None else f" By default <code>{escape(json.dumps(value))}</code>."


def _such_as(about: Json) -> str:
    examples = about.get("examples") or ([about["example"]] if "example" in about else [])
    if not examples:
        return ""
    text = json.dumps(examples[0], ensure_ascii=False)
    return f' <span class="soft">Such as <code>{escape(text)}</code>.</span>'


def _curl(path: str, method: str, operation: Json, sent: Json | None) -> str:
    address = BASE + path + _QUERIES.get(operation["operationId"], "")
    if sent is not None:
        fields = [
            f"  {json.dumps(field)}: {json.dumps(value, ensure_ascii=False)}"
            for field, value in sent["example"].items()
        ]
        body = shlex.quote("{\n" + ",\n".join(fields) + "\n}")
        kind = "-H 'Content-Type: application/json'"
        return f"curl -s -X {method.upper()} {address} \\\n  {kind} \\\n  -d {body}"
    # The first type is what a client gets that names none.
    kinds = list(_success(operation).get("content", {}))
    lines = [f"curl -s {shlex.quote(address)}"]
    lines += [f"curl -s -H 'Accept: {kind}' {shlex.quote(address)}" for kind in kinds[1:]]
    return "\n".join(lines)


def _answer(kind: str, content: Json) -> str:
    """Return the example of an answer, folded away."""
    example = content.get("example")
    if example is None:
        return ""
    text = example if isinstance(example, str) else json.dumps(example, indent=1)
    return (
        f"<details><summary>Its answer, <code>{escape(kind)}</code></summary>"
        f"<pre>{escape(text)}</pre></details>"
    )


def _responses(responses: Json) -> str:
    rows = []
    for status in sorted(responses):
        kinds = responses[status].get("content", {})
        types = "<br>".join(
            f"{_type(content['schema'])} <code>{escape(kind)}</code>"
            for kind, content in kinds.items()
            if kind != problems.PROBLEM_TYPE
        )
        if problems.PROBLEM_TYPE in kinds:
            types = ", ".join(
                f'<a href="#problem-{name}">{name}</a>'
                for name in kinds[problems.PROBLEM_TYPE].get("examples", {})
            )
        rows.append([f"<b>{status}</b>", types, prose(responses[status]["description"])])
    return f"<h4>Answers</h4>{table(['status', 'gives', 'when'], rows)}"


def _problems(schemas: Json) -> str:
    rows = [
        [
            f'<span id="problem-{kind.name}"><code>{kind.type}</code></span>',
            str(kind.status),
            escape(kind.title),
            prose(kind.doc),
        ]
        for kind in problems.KINDS.values()
    ]
    fields = schemas["ProblemDetails"]["properties"].items()
    example = {field: about["examples"][0] for field, about in fields}
    return (
        '<h2 id="problems">Problems</h2><p>Every answer that is not a success is '
        f"<code>{problems.PROBLEM_TYPE}</code> of one shape, "
        '<a href="#schema-ProblemDetails">ProblemDetails</a>:</p>'
        f"<pre>{escape(json.dumps(example, indent=1))}</pre>"
        + table(["type", "status", "title", "what to do"], rows)
    )


def _schemas(schemas: Json) -> str:
    return "".join(
        f'<h3 id="schema-{name}">{name}</h3><p>{prose(schema.get("description", ""))}</p>'
        + _fields(schema)
        for name, schema in sorted(schemas.items())
    )


def _type(schema: Json, *, optional: bool = False) -> str:
    """Return a schema's type in words, with a link where it has a name.

    Args:
        schema: The schema.
        optional: Whether it may be left out, so that null need not be named.
    """
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema:
        options = [o for o in schema["anyOf"] if not (optional and o.get("type") == "null")]
        return " or ".join(_type(option) for option in options)
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}{_range(schema)}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'])}"
    kind = escape(str(schema.get("format") or schema.get("type", "any")))
    return kind + _range(schema)


def _range(schema: Json) -> str:
    words = {
        "minimum": "from {:g}",
        "exclusiveMinimum": "above {:g}",
        "maximum": "to {:g}",
        "exclusiveMaximum": "below {:g}",
        "minItems": "at least {}",
        "maxItems": "at most {}",
    }
    found = [text.format(schema[key]) for key, text in words.items() if key in schema]
    return f" ({', '.join(found)})" if found else ""
