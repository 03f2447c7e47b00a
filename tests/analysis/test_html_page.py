"""A page of HTML: well formed, escaped, nothing from outside."""

import base64
import re
from html.parser import HTMLParser

import pytest

from fedbrain.analysis.html_page import PNG, Items, Picture, Section, Table, render_page

VOID = {"meta", "img"}


class Checked(HTMLParser):
    """Tags are closed in order; every address is inside the page; headers and figures are named."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        self.close()
        assert self.open == []
        ids = {attributes["id"] for _, attributes in self.tags if "id" in attributes}
        for tag, attributes in self.tags:
            assert tag not in ("script", "link", "iframe", "object", "form")
            assert not any(name.startswith("on") for name in attributes)
            if "href" in attributes:
                assert attributes["href"][0] == "#"
                assert attributes["href"][1:] in ids
            if tag == "img":
                self.look_at(attributes["src"])
                assert attributes["alt"]
            if tag == "th":
                assert attributes["scope"] in ("col", "row", "rowgroup")

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    @staticmethod
    def look_at(source):
        """An image that holds nothing that acts, and no other file."""
        kind, data = source.split(",")
        assert kind in ("data:image/png;base64", "data:image/svg+xml;base64")
        drawn = base64.b64decode(data)
        assert b"<script" not in drawn
        assert all(place.startswith(b"#") for place in re.findall(rb'href="([^"]*)"', drawn))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def blocks():
    evil = "<script>alert('x')</script>\" onload=\"x & y"
    rows = [["", "n"], [evil, ""], [f"  {evil}", evil]]
    return [evil, Table(evil, rows), Items([evil]), Picture(evil, PNG)]


def test_every_text_is_escaped(blocks):
    text = render_page(blocks[0], blocks[0], [Section(blocks[0], blocks), Section("empty", [])])
    page = Checked(text)
    assert "<script" not in text
    assert "empty" not in text
    assert sum(tag == "table" for tag, _ in page.tags) == 1
    assert ("th", {"scope": "rowgroup", "colspan": "2"}) in page.tags
