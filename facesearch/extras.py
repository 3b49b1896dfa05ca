"""How an optional part of facesearch is installed, into the environment that runs it."""

import json
import shlex
from pathlib import Path


def install_command(extra: str) -> str:
    """Return the command that adds an extra: by the folder that facesearch was installed from.

    Where it came from a package index, by its name. The origin is in the file that PEP 610 asks
    installers to write.
    """
    # here: most runs need none of it, and it takes a tenth of a second
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        written = distribution("facesearch").read_text("direct_url.json")
    except PackageNotFoundError:
        written = None
    origin = json.loads(written) if written else {}
    url = urlsplit(origin.get("url", ""))
    if url.scheme != "file" or "dir_info" not in origin:
        return f"pip install 'facesearch[{extra}]'"
    folder = Path(url2pathname(url.path))
    option = "--editable " if origin["dir_info"].get("editable") else ""
    return f"pip install {option}{shlex.quote(f'{folder}[{extra}]')}"
