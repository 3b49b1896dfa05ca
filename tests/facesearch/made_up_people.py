"""Made-up enrolled people: templates around a direction of each person's own."""

from statistics import NormalDist

import numpy as np
from fake_model import COHORT, DIM, FakeModel

from facesearch.duplicates import judge
from facesearch.duplicates.judge import Enrolled
from facesearch.vectors import unit

MODEL = FakeModel()


def photos_of(person, n, variation=0.5, salt=0):
    """Return unit rows (n, DIM): n photos of the person with that number."""
    own = unit(np.random.default_rng([1, person]).normal(size=DIM))
    noise = np.random.default_rng([2, person, salt]).normal(size=(n, DIM))
    return unit((own + variation * unit(noise)).astype(np.float32))


def enrolled_as(ids, owners, rows):
    """Return enrolled people, each template from a photo of its own."""
    return Enrolled(np.asarray(ids), np.asarray(owners), rows, 5000 + np.arange(len(owners)))


def gallery_of(*names):
    """Return enrolled people: for each name (id) the numbers of the people in its photos."""
    rows, owners = [], []
    for name, shown in names:
        for place, person in enumerate(shown):
            rows.append(photos_of(person, 1, salt=100 * name + place))
            owners.append(name)
    return enrolled_as(10 + np.arange(len(owners)), owners, np.vstack(rows))


CROWD = [(name, [name] * (1 + name % 4)) for name in range(100, 160)]  # nobody twice


def judge_of(enrolled, head=MODEL.head):
    return judge.judge_of(enrolled, head, MODEL.evidence, COHORT)


def standard_score(judge, a, b):
    """Return the standard score of two templates or sums of templates."""
    a, b = (judge.strangers.centered(unit(x)) for x in (a, b))
    return float(judge.strangers.standard(MODEL.head.scores(a, b[None]))[0])


def two_normals(judge, mates, z, n_a, n_b):
    """Return the log-likelihood ratio if a photo is its person and noise of its own."""
    own = mates.mean * judge.strangers.score_std / (1 - judge.strangers.score_mean)
    a, b = (np.zeros(1 + n_a + n_b) for _ in range(2))
    a[0] = b[0] = own**0.5
    a[1 : 1 + n_a], b[1 + n_a :] = (1 - own) ** 0.5 / n_a, (1 - own) ** 0.5 / n_b
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    expected = NormalDist(cosine * mates.mean / own, mates.std)
    return float(np.log(expected.pdf(z) / NormalDist().pdf(z)))
