"""The detector that a model's manifest names -> a detector that is ready to use."""

from facesearch.detection.base import Detector
from facesearch.detection.whole import WholeDetector
from facesearch.detection.yunet import YuNet
from facesearch.engine import make_engine
from facesearch.errors import ModelError
from facesearch.shipped import SHIPPED, check_file

YUNET_FILE = SHIPPED / "yunet" / "detector.onnx"
YUNET_SHA256 = "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10"


def make_detector(name: str, *, engine: str, ink: bool = False) -> Detector:
    """Return the detector `name`, "yunet" or "whole"; it belongs to the calling thread.

    `engine`, one of ENGINES, runs its graph, if it has one; `ink` is for "whole", see
    `WholeDetector`. Raises ModelError for another name or a damaged file.
    """
    if name == "whole":
        return WholeDetector(ink=ink)
    if name == "yunet":
        check_file(YUNET_FILE, YUNET_SHA256)
        return YuNet(make_engine(engine, YUNET_FILE))
    raise ModelError(f"there is no detector {name!r}; there are yunet, whole")
