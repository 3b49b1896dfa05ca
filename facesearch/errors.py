"""Every error that a caller may catch; each message is one sentence to show to the user.

FacesearchError
├── PhotoError              a photo that cannot be read: damaged, too large, not a picture
├── FaceError               a photo that was read but cannot be used: no face, too many faces
├── UnknownPerson           a name that is not in the gallery
├── DataError               classes of pictures that cannot be used: none, one class, not understood
├── TrainingError           training that cannot start, continue or be saved
├── TrashError              a trash folder that cannot be used, or has nothing to undo
├── ModelError              a model folder that is missing, damaged or not understood
│   └── EmbeddingMismatch   embeddings of two models, which cannot be compared
└── GalleryError            a gallery that cannot be opened, read or written
    ├── NewerGallery        a gallery written by a later version of facesearch
    └── Refused             an act that an earlier decision or the gallery's state forbids
        └── NamedTwice      an act that would give a name twice in a photo
"""


class FacesearchError(Exception):
    """Base of every error that a caller may catch; its message is for the user."""


class PhotoError(FacesearchError):
    """A photo that cannot be read: damaged, too large, or not a picture at all."""


class FaceError(FacesearchError):
    """A photo that was read but cannot be used: no face, or more than one."""


class UnknownPerson(FacesearchError):
    """A name that is not in the gallery."""


class DataError(FacesearchError):
    """Classes of pictures that cannot be used: none, only one, or not understood."""


class TrainingError(FacesearchError):
    """Training that cannot start, continue or be saved."""


class TrashError(FacesearchError):
    """A trash folder that cannot be written, is full, or has nothing to undo."""


class ModelError(FacesearchError):
    """A model folder that is missing, damaged or not understood."""


class EmbeddingMismatch(ModelError):
    """Embeddings of different models, which cannot be compared."""


class GalleryError(FacesearchError):
    """A gallery that cannot be opened, read or written."""


class NewerGallery(GalleryError):
    """A gallery written by a later version of facesearch."""


class Refused(GalleryError):
    """An act that an earlier decision or the gallery's state forbids; nothing was changed."""


class NamedTwice(Refused):
    """An act that would give a name twice in a photo, which only a mirror or collage does."""
