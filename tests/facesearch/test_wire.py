import json

import pytest

from facesearch.wire import finite, to_json


def test_json_is_ascii_with_a_schema_version_and_keeps_any_name():
    line = to_json(photo="\udcff\n")
    assert json.loads(line) == {"schema_version": 1, "photo": "\udcff\n"}
    assert line.isascii()


def test_json_has_no_infinite_number():
    assert (finite(float("inf")), finite(float("nan")), finite(1 / 3)) == (None, None, 0.333333)
    with pytest.raises(ValueError, match="JSON"):
        to_json(margin=float("inf"))
