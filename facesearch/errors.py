"""Every error a caller may catch; each message is one sentence, fit to show to a user.

FacesearchError
├── PhotoError              a photo that cannot be read: damaged, too large, not a picture
├── FaceError               a photo that was read but cannot serve: no face, too many faces
├── UnknownPerson           a name that the gallery does not have
├── DataError               pictures in classes that cannot serve: none, one class, not understood
├── TrainingError           a training that cannot start, go on or be stored
├── TrashError              a trash folder that cannot be used, or holds nothing to undo
├── ModelError              a model folder that is missing, damaged or not understood
│   └── EmbeddingMismatch   embeddings of two models, never to be compared
└── GalleryError            a gallery that cannot be opened, read or written
    ├── NewerGallery        a gallery that a later facesearch wrote
    └── Refused             what an earlier decision forbids, or the state of the gallery
"""


class FacesearchError(Exception):
    """Base of every error a caller may catch; its message is fit to show to the user."""


class PhotoError(FacesearchError):
    """A photo that cannot be read: damaged, too large, or not a picture at all."""


class FaceError(FacesearchError):
    """A photo that was read but cannot serve the purpose: no face, or more than one."""


class UnknownPerson(FacesearchError):
    """A name that the gallery does not have."""


class DataError(FacesearchError):
    """Pictures sorted into classes that cannot serve: none, one class only, or not understood."""


class TrainingError(FacesearchError):
    """A training that cannot start, go on or be stored."""


class TrashError(FacesearchError):
    """A trash folder that cannot be written, is full, or holds nothing that could be undone."""


class ModelError(FacesearchError):
    """A model folder that is missing, damaged or not understood."""


class EmbeddingMismatch(ModelError):
    """Embeddings that cannot be compared: they come from different models."""


class GalleryError(FacesearchError):
    """A gallery that cannot be opened, read or written."""


class NewerGallery(GalleryError):
    """A gallery that a later version of facesearch wrote."""


class Refused(GalleryError):
    """What an earlier decision or the state of the gallery forbids; nothing was changed."""
