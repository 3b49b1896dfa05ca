"""Markdown -> HTML that holds nothing but text, lists and tables."""

from markdown_it import MarkdownIt
from markupsafe import Markup


def rendered(text: str) -> Markup:
    """Return the HTML of a model card; tags become text, pictures and links stay unrendered.

    Headings are one level lower than in the card, since the page has a heading of its own.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.disable(["image", "link", "autolink", "html_block", "html_inline", "reference"])
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + 1, 6)}"
        if token.type == "th_open":
            token.attrSet("scope", "col")
        token.attrs.pop(
            "style", None
        )  # a column's alignment; our content security policy forbids it
    return Markup(parser.renderer.render(tokens, parser.options, {}))
