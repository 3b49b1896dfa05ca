"""The page in the browser: the same gallery, by eye and hand; see docs/decisions/0013-web-page.md.

`app` answers; listening, refusing strangers, uploads and decoding are facesearch.serving.
"""
