"""Renders the templates, with the filters that turn values into text and HTML."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from features.calendar.clock import iso

_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")


def render(template: str, **values: object) -> Markup:
    """Return the HTML that a template makes of some values."""
    return Markup(_environment().get_template(template).render(values))  # noqa: S704 (escaped)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    environment.filters |= {
        "amount": amount,
        "money": money,
        "percent": lambda share: "-" if share is None else f"{100 * share:.0f} %",
        "prose": prose,
        "sentence": lambda text: text[:1].upper() + text[1:],
        "when": lambda at: Markup('<time datetime="{}">{}</time>').format(iso(at), date_text(at)),
        "whole": lambda value: f"{value:,.0f}",
        "width": lambda share: f"{share:.1%}",
        "words": lambda word: (word or "-").replace("_", " "),
    }
    return environment


def amount(value: float) -> str:
    """Return a number of contacts, agents or hours; small ones with one decimal.

    >>> amount(1221.4), amount(3.24), amount(7)
    ('1,221', '3.2', '7')
    """
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"


def date_text(at: datetime) -> str:
    """Return a moment as people write it, in UTC."""
    return f"{at.astimezone(UTC):%a %-d %b %Y, %H:%M} UTC"


def money(minor: float | None) -> str:
    """Return minor units of a currency as whole units; a dash for None.

    >>> money(1_234_567)
    '12,346'
    """
    return "-" if minor is None else f"{minor / 100:,.0f}"


def prose(markdown: str) -> Markup:
    """Turn the two marks that our texts use, code and bold, into HTML.

    >>> print(prose("run `make` & **wait**"))
    run <code>make</code> &amp; <b>wait</b>
    """
    text = _CODE.sub(r"<code>\1</code>", str(escape(markdown)))
    return Markup(_BOLD.sub(r"<b>\1</b>", text))  # noqa: S704 (escaped above)
