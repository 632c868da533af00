"""What the pages share: their frame and their looks."""

from __future__ import annotations

from html import escape

_STYLE = """
:root{--ink:#16323f;--soft:#5b7480;--line:#d5e0e4;--tide:#0b7a8f;--wash:#eaf4f6;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#dbe8ec;--soft:#8fa7b1;--line:#2b434e;
--tide:#4fc0d4;--wash:#12262e;--paper:#0c1a20}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:64rem;padding:2rem 1.2rem 4rem;background:var(--paper);
color:var(--ink);font:16px/1.55 system-ui,sans-serif}
h1{font-size:1.7rem;margin:0}h2{margin:2.4rem 0 .6rem;font-size:1.25rem}h3{margin:1.6rem 0 .4rem}
p.lead{margin:.2rem 0 1rem;color:var(--soft)}a{color:var(--tide)}
table{border-collapse:collapse;width:100%;font-size:.92rem;margin:.5rem 0 1rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600}code,pre{font:.86rem/1.5 ui-monospace,monospace}
code{overflow-wrap:anywhere}pre{background:var(--wash);padding:.8rem;border-radius:6px;
overflow-x:auto}nav a{margin-right:1rem}
section.route{border-top:2px solid var(--line);margin-top:2rem;padding-top:.4rem}
.verb{background:var(--tide);color:var(--paper);border-radius:4px;padding:.1rem .5rem;
font:600 .8rem ui-monospace,monospace}
.warn{color:#b4540a}.soft{color:var(--soft)}
svg{width:100%;height:auto;display:block;background:var(--wash);border-radius:6px}
svg .band{fill:var(--tide);opacity:.25}svg .mean{fill:none;stroke:var(--tide);stroke-width:1.6}
svg .day{stroke:var(--line)}svg text{fill:var(--soft);font:11px system-ui,sans-serif}
"""


def page(title: str, body: str) -> str:
    """Return a whole HTML document.

    Args:
        title: Its title, plain text.
        body: Its body, HTML.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return an HTML table.

    Args:
        head: Titles of the columns, plain text.
        rows: Cells, HTML.
    """
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"
