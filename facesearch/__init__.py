"""Who is in this photo? Offline face identification with calibrated probabilities."""

from facesearch.errors import (
    EmbeddingMismatch,
    FaceError,
    FacesearchError,
    GalleryError,
    ModelError,
    NewerGallery,
    PhotoError,
    UnknownPerson,
)
from facesearch.gallery import (
    Enrollment,
    Gallery,
    IdentifiedPhoto,
    Neighbour,
    Verification,
    import_gallery,
    verify,
)
from facesearch.identification import Candidate, IdentifiedFace
from facesearch.model import Model, shipped_models

__all__ = [
    "Candidate",
    "EmbeddingMismatch",
    "Enrollment",
    "FaceError",
    "FacesearchError",
    "Gallery",
    "GalleryError",
    "IdentifiedFace",
    "IdentifiedPhoto",
    "Model",
    "ModelError",
    "Neighbour",
    "NewerGallery",
    "PhotoError",
    "UnknownPerson",
    "Verification",
    "import_gallery",
    "shipped_models",
    "verify",
]
