import pytest

from facesearch.duplicates.photo_links import connect
from facesearch.duplicates.picture import Likeness


def connected(scores, pictures=(1, 2, 3, 4), different=()):
    """Return the sets of pictures, and the weak links that join none."""

    def alike(first, second):
        return Likeness(scores[first, second], False, False, 1.0)

    parts, weak = connect(pictures, scores, alike, different)
    return sorted(map(sorted, parts)), weak


def test_one_weak_link_does_not_join_two_groups():
    """In a chain a = b ~ c = d only the sure links hold."""
    parts, weak = connected({(1, 2): 0.99, (2, 3): 0.9, (3, 4): 0.99})
    assert parts == [[1, 2], [3, 4]]
    assert weak == [(2, 3, 0.9)]


def test_two_weak_links_join_two_groups_and_one_joins_a_single_picture():
    links = {(1, 2): 0.99, (2, 3): 0.9, (1, 4): 0.9, (3, 4): 0.99, (1, 5): 0.9}
    assert connected(links, (1, 2, 3, 4, 5)) == ([[1, 2, 3, 4, 5]], [])


@pytest.mark.parametrize("score", [0.99, 0.9], ids=["sure", "weak"])
def test_pictures_a_human_called_different_are_not_joined_through_a_third(score):
    parts, _ = connected({(1, 2): 0.99, (2, 3): score}, (1, 2, 3), different=[(3, 1)])
    assert parts == [[1, 2], [3]]


def test_pictures_that_are_connected_already_are_not_compared():
    links = {(1, 2): 0.99, (2, 3): 0.99, (1, 3): None}
    assert connected(links, (1, 2, 3)) == ([[1, 2, 3]], [])
