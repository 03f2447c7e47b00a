"""A page of HTML in one file: no script, no outside address, images inside; every text is escaped.

It can be read without colours, by a screen reader, on a telephone and on paper.
"""

import base64
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

PNG = b"\x89PNG\r\n\x1a\n"
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #111; background: #fff; margin: 0 auto;
  padding: 1rem; max-width: 76rem; overflow-wrap: break-word; }
h1, h2 { line-height: 1.2; } h1 { font-size: 1.8rem; }
h2 { margin-top: 3rem; padding-bottom: .3rem; border-bottom: 2px solid #111; }
p, li { max-width: 50rem; } a { color: #0a4a8f; } a, section { scroll-margin-top: 1rem; }
.label { border: 3px solid #111; padding: .5rem 1rem; font-weight: bold; }
nav ul { columns: 16rem; padding-left: 1.2rem; } nav li { padding: .15rem 0; }
.wide { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; min-width: min(100%, 26rem);
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; position: sticky; left: 0;
  max-width: min(50rem, 100vw - 2.5rem); }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #bbb; text-align: right;
  vertical-align: top; }
thead th { border-bottom: 2px solid #767676; vertical-align: bottom; }
th[scope=row], th[scope=rowgroup], thead th:first-child { text-align: left; padding-left: 0;
  position: sticky; left: 0; background: #fff; }
th[scope=row] { font-weight: normal; } th[scope=rowgroup] { padding-top: .8rem; }
th span { display: inline-block; } th[scope=rowgroup] span { position: sticky; left: 0; }
.text td, .text th { text-align: left; } .text td { overflow-wrap: anywhere; }
table:not(.text) :is(td, th) { white-space: nowrap; }
figure { margin: 1.5rem 0; overflow-x: auto; } img { max-width: 100%; height: auto; }
figcaption { color: #444; font-size: .9rem; position: sticky; left: 0; }
@media screen and (max-width: 40rem) { body { font-size: 15px; } h2 { margin-top: 2.2rem; }
  figure img { max-width: 40rem; } table { font-size: 14px; }
  .text th[scope=row] { position: static; }
  table:not(.text) thead th:first-child { white-space: normal; max-width: 9rem; }
  table:not(.text) th span { white-space: normal; width: max-content; max-width: 9rem; }
  table:not(.text) th[scope=rowgroup] span { max-width: calc(100vw - 4rem); } }
@media print { body { max-width: none; font-size: 10pt; } .wide { overflow: visible; }
  table { font-size: 7.5pt; } figure, tr { break-inside: avoid; } h2 { break-after: avoid; }
  nav { display: none; } a { color: inherit; } }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Table(NamedTuple):
    """A table; a row with nothing but its name is the heading of those below."""

    caption: str
    rows: Sequence[Sequence[str]]  # the first one is the header
    text: bool = False  # whether cells are text, to the left, in place of numbers


class Picture(NamedTuple):
    """A figure."""

    alt: str  # what it shows; also printed below it
    image: bytes  # a PNG or SVG file


class Items(NamedTuple):
    """A list."""

    lines: Sequence[str]


Block = str | Table | Picture | Items  # text: a paragraph


class Section(NamedTuple):
    """A heading with what stands below it."""

    title: str
    blocks: Sequence[Block]


def _table_row(row: Sequence[str], columns: int) -> str:
    name, *cells = [cell.strip() for cell in row]
    if columns > 1 and not any(cells):
        heading = f"<span>{escape(name)}</span>"
        return f'<tr><th scope="rowgroup" colspan="{columns}">{heading}</th></tr>'
    values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row"><span>{escape(name)}</span></th>{values}</tr>'


def _table(table: Table) -> str:
    header, *rows = table.rows
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    kind = ' class="text"' if table.text else ""
    groups, body = [], []
    for row in rows:
        if len(row) > 1 and not any(row[1:]) and body:
            groups.append(body)
            body = []
        body.append(_table_row(row, len(header)))
    bodies = "".join(f"<tbody>{''.join(lines)}</tbody>" for lines in [*groups, body])
    caption = escape(table.caption)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{caption}"><table{kind}>'
        f"<caption>{caption}</caption><thead><tr>{heads}</tr></thead>{bodies}</table></div>"
    )


def render_block(block: Block) -> str:
    """A block as HTML.

    Args:
      block: a paragraph, table, figure or list.

    >>> render_block("a < b")
    '<p>a &lt; b</p>'
    """
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        alt, data = escape(block.alt), base64.b64encode(block.image).decode()
        kind = "png" if block.image.startswith(PNG) else "svg+xml"
        image = f'<img alt="{alt}" src="data:image/{kind};base64,{data}">'
        return f"<figure>{image}<figcaption>{alt}</figcaption></figure>"
    if isinstance(block, Items):
        return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in block.lines)}</ul>"
    return f"<p>{escape(block)}</p>"


def render_page(title: str, label: str, sections: Sequence[Section]) -> str:
    """The whole page.

    Args:
      title: of the page.
      label: a sentence in a frame below it; empty: none.
      sections: those without blocks are left out.
    """
    shown = [section for section in sections if section.blocks]
    links = "".join(f'<li><a href="#s{k}">{escape(s.title)}</a></li>' for k, s in enumerate(shown))
    parts = [
        f'<section aria-labelledby="s{k}"><h2 id="s{k}">{escape(s.title)}</h2>'
        + "\n".join(render_block(block) for block in s.blocks)
        + "</section>"
        for k, s in enumerate(shown)
    ]
    frame = f'<p class="label">{escape(label)}</p>' if label else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{frame}\n"
        f'<nav aria-label="Contents"><ul>{links}</ul></nav>\n'
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )
