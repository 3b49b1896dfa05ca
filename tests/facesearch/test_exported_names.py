"""The public names: one sorted list of what is there, every error of the drawn tree among them."""

import facesearch
from facesearch import errors


def test_public_names_are_there_in_order():
    assert facesearch.__all__ == sorted(facesearch.__all__)
    assert all(hasattr(facesearch, name) for name in facesearch.__all__)


def test_every_error_is_drawn_at_its_place():
    """The tree in the module's docstring has each class below its base, by depth."""
    drawn = [line for line in errors.__doc__.splitlines() if "──" in line]
    depths = {line.split("── ")[1].split()[0]: line.index("── ") // 4 + 1 for line in drawn}
    classes = [errors.FacesearchError, *descendants(errors.FacesearchError)]
    assert depths == {
        kind.__name__: kind.__mro__.index(errors.FacesearchError) for kind in classes[1:]
    }


def descendants(kind):
    """Return the classes of errors.py that are derived from `kind`."""
    own = [c for c in kind.__subclasses__() if c.__module__ == errors.__name__]
    return [*own, *(d for c in own for d in descendants(c))]
