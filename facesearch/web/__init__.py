"""The page in the browser: HTML, style and scripts; see docs/decisions/0013-web-page.md.

The server, its guard, uploads and photo decoding are in facesearch.serving.
"""
