"""Photo -> faces: what every detector does (`base`), YuNet, and whole photos as one face."""

from facesearch.detection.base import Detector, Face

__all__ = ["Detector", "Face"]
