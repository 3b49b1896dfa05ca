"""An extra is named by a command that works where facesearch came from."""

import json
import shlex
from importlib.metadata import Distribution, PackageNotFoundError

import pytest

from facesearch.extras import install_command


class Installed(Distribution):
    """A distribution that was installed from somewhere, as PEP 610 writes it."""

    def __init__(self, origin):
        self.origin_file = None if origin is None else json.dumps(origin)

    def read_text(self, filename):
        return self.origin_file if filename == "direct_url.json" else None

    def locate_file(self, path):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'facesearch[web]'"),
        ({"url": "file:///src/fs", "dir_info": {}}, "pip install '/src/fs[web]'"),
        (
            {"url": "file:///my%20src/o'fs", "dir_info": {"editable": True}},
            "pip install --editable " + shlex.quote("/my src/o'fs[web]"),
        ),
        (
            {"url": "file:///wheels/facesearch-1-py3-none-any.whl", "archive_info": {}},
            "pip install 'facesearch[web]'",
        ),
        (
            {"url": "https://example.org/fs.git", "vcs_info": {"vcs": "git"}},
            "pip install 'facesearch[web]'",
        ),
    ],
    ids=["index", "folder", "editable", "wheel", "repository"],
)
def test_an_extra_is_installed_from_where_facesearch_came(monkeypatch, origin, command):
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Installed(origin))
    assert install_command("web") == command
    assert shlex.split(command)[-1].endswith("[web]")


def test_without_an_installation_an_extra_is_named_by_the_package(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", missing)
    assert install_command("heic") == "pip install 'facesearch[heic]'"
