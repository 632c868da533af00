"""What the pages share: their frame, their looks, and how text becomes HTML."""

from __future__ import annotations

import re
from html import escape

_STYLE = """
:root{color-scheme:light dark;--ink:#16323f;--soft:#54707d;--line:#d5e0e4;--tide:#0b7a8f;
--wash:#f0f6f8;--shut:#dfe7ea;--paper:#fff;--alarm:#a4480a;--note:#fff4e8;--get:#0b7a8f;
--post:#2f7d43}
@media (prefers-color-scheme:dark){:root{--ink:#dbe8ec;--soft:#93abb5;--line:#2b434e;
--tide:#4fc0d4;--wash:#12262e;--shut:#1f3741;--paper:#0c1a20;--alarm:#f2a765;--note:#2b2117;
--get:#4fc0d4;--post:#79c98c}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:64rem;padding:2rem 1.2rem 4rem;background:var(--paper);
color:var(--ink);font:16px/1.55 system-ui,sans-serif}
h1{font-size:1.8rem;line-height:1.2;margin:0}h2{margin:2.6rem 0 .5rem;font-size:1.3rem}
h3{margin:2rem 0 .2rem;font-size:1.05rem}h4{margin:1.2rem 0 .3rem;font-size:.95rem}
p{margin:.4rem 0 .8rem}p.lead{margin:.3rem 0 1rem;color:var(--soft)}
a{color:var(--tide)}a:focus-visible,summary:focus-visible,.wide:focus-visible{
outline:2px solid var(--tide);outline-offset:2px}
nav a{margin-right:1.1rem;display:inline-block}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.4rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem;margin:.5rem 0 1rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600}td.number,th.number{text-align:right;
font-variant-numeric:tabular-nums}
code,pre{font:.86rem/1.5 ui-monospace,monospace}code{overflow-wrap:anywhere}
pre{background:var(--wash);padding:.8rem;border-radius:6px;overflow-x:auto;margin:.5rem 0 1rem}
summary{cursor:pointer;margin:.3rem 0}
.warn{color:var(--alarm)}.soft{color:var(--soft)}small{font-size:.85rem}
.note{background:var(--note);border-left:4px solid var(--alarm);padding:.6rem 1rem;
border-radius:4px;margin:1rem 0}.note ul{margin:.2rem 0;padding-left:1.2rem}
@media (max-width:40rem){body{padding:1.2rem .8rem 3rem}th,td{padding:.3rem .35rem}
.stack thead{display:none}.stack tr{display:block;border-bottom:1px solid var(--line);
padding:.4rem 0}.stack td{display:block;border:0;padding:.05rem 0}.stack td:empty{display:none}}
"""
_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
# A tide line; in the page itself, so that a browser asks for no /favicon.ico.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath "
    "d='M1 10q3.5-8 7 0t7 0' fill='none' stroke='%230b7a8f' stroke-width='2.4'/%3E%3C/svg%3E"
)


def page(title: str, body: str, *, style: str = "") -> str:
    """Return a whole HTML document.

    Args:
        title: Its title, plain text.
        body: Its body, HTML, with an element ``main`` of the id ``main``.
        style: Rules of this page alone, CSS.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="{_ICON}">'
        f"<style>{_STYLE}{style}</style></head>"
        f'<body><a class="skip" href="#main">Skip to the content</a>{body}</body></html>'
    )


def table(head: list[str], rows: list[list[str]], *, numbers: tuple[int, ...] = ()) -> str:
    """Return an HTML table; on a narrow screen, one of text stacks its cells.

    Args:
        head: Titles of the columns, plain text.
        rows: Cells, HTML.
        numbers: Places of the columns that hold numbers; they stand to the right.
    """
    shape = "" if numbers else ' class="stack"'

    def cell(tag: str, place: int, html: str) -> str:
        kind = ' class="number"' if place in numbers else ""
        return f"<{tag}{kind}>{html}</{tag}>"

    top = "".join(cell("th", i, escape(title)) for i, title in enumerate(head))
    lines = "".join(
        "<tr>" + "".join(cell("td", i, html) for i, html in enumerate(row)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table{shape}><thead><tr>{top}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def prose(markdown: str) -> str:
    """Turn the two marks that our texts use, code and bold, into HTML.

    >>> prose("run `make` & **wait**")
    'run <code>make</code> &amp; <b>wait</b>'
    """
    return _BOLD.sub(r"<b>\1</b>", _CODE.sub(r"<code>\1</code>", escape(markdown, quote=False)))
