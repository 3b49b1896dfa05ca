"""The page in the browser: the same gallery, by eye and hand; see docs/decisions/0013-web-page.md.

`server` listens, `guard` refuses who is not the user, `app` answers, `eyes` decodes photos in
processes apart, `uploads` holds what was dropped on the page.
"""
