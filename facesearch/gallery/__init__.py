"""An open gallery: its session, and one file for each thing that is done with it."""

from facesearch.gallery.decisions import Decision
from facesearch.gallery.enrolling import Enrollment
from facesearch.gallery.files import (
    galleries_in,
    gallery_file,
    index_folder,
    model_for,
    photo_cache_file,
)
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.identifying import (
    IdentifiedPhoto,
    Neighbor,
    Verification,
    compare,
    verify,
)
from facesearch.gallery.restoring import import_gallery, restore_gallery

__all__ = [
    "Decision",
    "Enrollment",
    "Gallery",
    "IdentifiedPhoto",
    "Neighbor",
    "Verification",
    "compare",
    "galleries_in",
    "gallery_file",
    "import_gallery",
    "index_folder",
    "model_for",
    "photo_cache_file",
    "restore_gallery",
    "verify",
]
