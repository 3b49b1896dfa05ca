"""Who is in this photo? Offline face identification with calibrated probabilities."""

from facesearch.errors import (
    DataError,
    EmbeddingMismatch,
    FaceError,
    FacesearchError,
    GalleryError,
    ModelError,
    NewerGallery,
    PhotoError,
    Refused,
    TrainingError,
    UnknownPerson,
)
from facesearch.gallery import (
    Decision,
    Enrollment,
    Gallery,
    IdentifiedPhoto,
    Neighbor,
    Verification,
    import_gallery,
    verify,
)
from facesearch.identification import Candidate, IdentifiedFace
from facesearch.model import Model
from facesearch.shipped import shipped_models

__all__ = [
    "Candidate",
    "DataError",
    "Decision",
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
    "Neighbor",
    "NewerGallery",
    "PhotoError",
    "Refused",
    "TrainingError",
    "UnknownPerson",
    "Verification",
    "import_gallery",
    "shipped_models",
    "verify",
]
