"""Models whose detector does what a hostile photo may do to a decoder."""

import os
import time

import numpy as np


class Detector:
    def __init__(self, oddity):
        self._oddity = oddity

    def detect(self, photo):
        if photo.name == "bad.png":
            self._oddity()
        return []


class OddModel:
    def __init__(self, oddity):
        self.detector = Detector(oddity)
        self.manifest = {"name": "odd"}

    def embed(self, crops):
        return np.zeros((0, 4), np.float32)


def hanging():
    return OddModel(lambda: time.sleep(3600))


def crashing():
    return OddModel(os.abort)


def hungry():
    return OddModel(lambda: np.ones((1_000_000_000,), np.float64))
