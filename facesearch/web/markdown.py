"""Text with the marks of Markdown -> HTML that can hold nothing but text, lists and tables."""

from markdown_it import MarkdownIt
from markupsafe import Markup


def rendered(text: str) -> Markup:
    """Return the HTML of a card: tags in it are text, and pictures and links are not made.

    Its headings are one smaller than they say, since they stand below the page's.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.disable(["image", "link", "autolink", "html_block", "html_inline", "reference"])
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + 1, 6)}"
        if token.type == "th_open":
            token.attrSet("scope", "col")
        token.attrs.pop("style", None)  # the alignment of a column, which our policy forbids
    return Markup(parser.renderer.render(tokens, parser.options, {}))
