import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra train")
onnx = pytest.importorskip("onnx", reason="onnx, which writes the graph, is not installed")
pytest.importorskip("scipy", reason="scipy, which fits the calibration, is not installed")

from facesearch.engine import dequantized, make_engine, openvino_is_installed  # noqa: E402
from facesearch.errors import TrainingError  # noqa: E402
from facesearch.figures import read_figures  # noqa: E402
from facesearch.model import Model  # noqa: E402
from facesearch.training import export as exporting  # noqa: E402
from facesearch.training.data import TrainingSet  # noqa: E402
from facesearch.training.export import About, crops_of, export, numpy_head  # noqa: E402
from facesearch.training.network import (  # noqa: E402
    KochBranch,
    L1Head,
    ResidualBranch,
    SiameseNetwork,
)
from facesearch.training.onnx_graph import branch_onnx  # noqa: E402
from facesearch.vectors import unit  # noqa: E402

pytestmark = pytest.mark.usefixtures("fewer_pairs")

ABOUT = About("glyphs", "CC0-1.0", "drawn for the test", {"recipe": "modern", "seed": 3})
ENGINES = [
    "opencv",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(
            not openvino_is_installed(), reason="the extra openvino is not installed"
        ),
    ),
]


def a_branch(channels: int = 1, side_px: int = 20) -> ResidualBranch:
    """A small branch whose batch normalisation has something to do, as after a training."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    branch = ResidualBranch(
        trunks=2, side_px=side_px, channels=channels, stem=4, widths=(6, 8), depths=(1, 2), dim=4
    )
    for layer in branch.modules():
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            layer.running_mean.normal_(0, 0.3, generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            if layer.affine:
                layer.weight.data.uniform_(0.5, 2, generator=generator)
                layer.bias.data.normal_(0, 0.3, generator=generator)
        if isinstance(layer, torch.nn.PReLU):
            layer.weight.data.uniform_(-0.5, 0.5, generator=generator)
    return branch.eval()


def pictures(n: int, channels: int = 1, side_px: int = 20) -> torch.Tensor:
    """Squares of all grey levels on nothing: the border shows what padding continues."""
    generator = torch.Generator().manual_seed(n)
    made = torch.zeros(n, channels, side_px, side_px, dtype=torch.uint8)
    third = side_px // 3
    made[:, :, third:-third, third:-third] = torch.randint(
        256, (n, channels, side_px - 2 * third, side_px - 2 * third), generator=generator
    ).to(torch.uint8)
    return made


@pytest.fixture(scope="module")
def exported(tmp_path_factory, fewer_pairs):
    """A model that some tests look at and others replace in a folder of their own."""
    folder = tmp_path_factory.mktemp("exported") / "glyphs"
    about = About(
        "glyphs", "CC0-1.0", "drawn", {"steps": 7}, figures={"one_shot": 0.5}, card="# Glyphs\n"
    )
    export(a_network(), a_set(6), folder, about)
    return folder


@pytest.fixture
def old(exported, tmp_path):
    """The folder of an older model, named old, with a card."""
    folder = Path(shutil.copytree(exported, tmp_path / "glyphs"))
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": "old"}))
    return folder


def run(graph: bytes, given: torch.Tensor, engine: str, folder) -> np.ndarray:
    file = folder / "branch.onnx"
    file.write_bytes(graph)
    batch = crops_of(given).transpose(0, 3, 1, 2).astype(np.float32)
    return make_engine(engine, file).run(np.ascontiguousarray(batch))["embeddings"]


@torch.no_grad()
def by_torch(branch: torch.nn.Module, given: torch.Tensor) -> np.ndarray:
    return branch(given.float() / 255).numpy()


# The graph


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("channels", [1, 3], ids=["ink", "colours"])
def test_the_onnx_graph_agrees_with_torch(channels, engine, tmp_path):
    branch, given = a_branch(channels), pictures(5, channels)
    ours = unit(run(branch_onnx(branch, quantized=False), given, engine, tmp_path))
    theirs = by_torch(branch, given)
    if engine == "opencv":
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    assert (ours * theirs).sum(1).min() > 0.999  # bf16, where the machine has it, in OpenVINO


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pictures_embedding_does_not_depend_on_its_batch(engine, tmp_path):
    branch, given = a_branch(), pictures(7)
    file = tmp_path / "branch.onnx"
    file.write_bytes(branch_onnx(branch, quantized=True))
    batch = np.ascontiguousarray(crops_of(given).transpose(0, 3, 1, 2), np.float32)
    shared = make_engine(engine, file)
    together, alone = shared.run(batch)["embeddings"], shared.run(batch[:1])["embeddings"]
    again = shared.run(batch)["embeddings"]
    assert alone[0] == pytest.approx(together[0], abs=1e-4)
    assert again == pytest.approx(together, abs=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_of_eight_bits_keep_the_embedding(engine, tmp_path):
    branch, given = a_branch(), pictures(20)
    ours = unit(run(branch_onnx(branch, quantized=True), given, engine, tmp_path))
    assert (ours * by_torch(branch, given)).sum(1).min() > 0.999


def test_weights_of_eight_bits_take_a_quarter_and_are_off_by_at_most_half_a_step(tmp_path):
    branch = ResidualBranch(
        trunks=1, side_px=20, channels=1, stem=16, widths=(48,), depths=(2,), dim=64
    ).eval()
    exact, rounded = (branch_onnx(branch, quantized=q) for q in (False, True))
    assert len(rounded) < 0.3 * len(exact)
    (tmp_path / "rounded.onnx").write_bytes(rounded)
    shape = {1: "bias", 2: "Gemm", 4: "Conv"}
    kept = [
        [onnx.numpy_helper.to_array(w) for w in model.graph.initializer]
        for model in (onnx.load_from_string(exact), dequantized(tmp_path / "rounded.onnx"))
    ]
    big = [[w for w in weights if w.ndim in shape and w.size > 200] for weights in kept]
    by_shape = [sorted(weights, key=lambda w: (w.shape, w.sum().round(2))) for weights in big]
    assert len(by_shape[0]) >= 6
    for before, after in zip(*by_shape, strict=True):
        step = np.abs(before.reshape(len(before), -1)).max(1) / 127
        off = np.abs(before - after).reshape(len(before), -1).max(1)
        assert (off <= step * 0.5001).all()


def test_the_same_network_gives_the_same_bytes():
    assert branch_onnx(a_branch(), quantized=True) == branch_onnx(a_branch(), quantized=True)


@pytest.fixture(scope="module")
def koch():
    """Koch's network, which has 38 million weights, and the bytes of its graph."""
    torch.manual_seed(4)
    branch = KochBranch().eval()
    branch.embedding.weight.data *= 60  # as after a training: not all sigmoids near one half
    head = L1Head(branch.dim)
    head.weights.data = torch.randn(branch.dim) / 100
    head.bias.data += 0.7
    return SiameseNetwork(branch, head), branch_onnx(branch, quantized=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_koch_templates_have_length_1_and_the_head_compares_their_sigmoids(koch, engine, tmp_path):
    network, graph = koch
    given = pictures(3, side_px=105)
    templates = run(graph, given, engine, tmp_path)
    assert templates.shape == (3, 4097)
    assert np.linalg.norm(templates, axis=1) == pytest.approx(1, abs=1e-5)
    sigmoids = by_torch(network.branch, given)
    assert sigmoids.std() > 0.15
    assert templates[:, :-1] * 64 == pytest.approx(sigmoids, abs=0.05)  # 8-bit weights
    with torch.no_grad():
        logits = network.head(
            torch.from_numpy(sigmoids[:1]), torch.from_numpy(sigmoids[1:])
        ).numpy()
    exact = sigmoids / 64
    last = np.sqrt(1 - (exact**2).sum(1, keepdims=True))
    exact = np.concatenate([exact, last], 1).astype(np.float32)
    assert numpy_head(network).llr(exact[0], exact[1:]) == pytest.approx(logits, abs=1e-3)


@pytest.mark.parametrize("width", [None, 32], ids=["no code", "code"])
def test_the_head_in_numpy_agrees_with_the_head_in_torch(width):
    torch.manual_seed(5)
    network = SiameseNetwork(a_branch(), L1Head(8, width))
    a, b = (torch.nn.functional.normalize(torch.randn(6, 8)) for _ in range(2))
    with torch.no_grad():
        logits = network.head(a[:1].expand(6, 8), b).numpy()
    head = numpy_head(network)
    assert head.llr(a[0].numpy(), b.numpy()) == pytest.approx(logits, abs=5e-3)
    assert not head.follows_cosine


# The folder


def a_set(n_classes: int, each: int = 4, channels: int = 1) -> TrainingSet:
    """Classes of blurred noise, every picture of one with noise of its own."""
    rng = np.random.default_rng(6)
    shape = rng.normal(128, 90, (n_classes, 1, channels, 20, 20))
    made = (shape + rng.normal(0, 30, (n_classes, each, channels, 20, 20))).clip(0, 255)
    return TrainingSet(
        torch.from_numpy(made.reshape(-1, channels, 20, 20).astype(np.uint8)),
        np.repeat(np.arange(n_classes), each),
        np.arange(n_classes) // 30,
        drawn=channels == 1,
    )


def a_network(channels: int = 1) -> SiameseNetwork:
    branch = a_branch(channels)
    torch.manual_seed(7)
    return SiameseNetwork(branch, L1Head(8, 32)).eval()


@pytest.mark.parametrize("channels", [1, 3], ids=["ink", "colours"])
def test_a_model_folder_embeds_and_compares_like_the_network(channels, tmp_path):
    network, data = a_network(channels), a_set(60, channels=channels)
    export(network, data, tmp_path / "glyphs", ABOUT)
    model = Model.load(tmp_path / "glyphs")
    templates = model.embed(crops_of(data.pictures))
    embeddings = by_torch(network.branch, data.pictures)
    assert (templates * embeddings).sum(1).min() > 0.999
    with torch.no_grad():
        logits = network.head(
            torch.from_numpy(embeddings[:1]).expand(50, 8), torch.from_numpy(embeddings[1:51])
        ).numpy()
    llrs = model.compare(templates[0], templates[1:51])
    assert np.corrcoef(logits, llrs)[0, 1] > 0.999  # one line: only bias and slope were changed
    assert model.manifest["alignment"] == ("ink" if channels == 1 else "whole")
    assert not model.head.follows_cosine


def test_the_manifest_says_where_a_model_comes_from(exported):
    manifest = json.loads((exported / "model.json").read_text())
    assert manifest["training"] == {"steps": 7}
    assert manifest["figures"] == {"one_shot": 0.5}
    assert manifest["licence"] == {"weights": "CC0-1.0", "data": "drawn"}
    assert (manifest["kind"], manifest["detector"], manifest["mirror"]) == ("image", "whole", False)
    assert "usual shape" in manifest["calibration"]["note"]
    assert (exported / "MODEL_CARD.md").read_text() == "# Glyphs\n"


def test_a_trained_model_has_figures_from_the_classes_that_calibrated_it(exported):
    model = Model.load(exported)
    figures = read_figures(model.folder, model.manifest)
    assert figures.calibrated_on
    assert figures.pairs.mated.sum() == 6 * 6
    assert figures.pairs.non_mated.sum() == 24 * 23 / 2 - 36


def test_an_existing_model_is_replaced_completely(old, tmp_path):
    export(a_network(), a_set(6), old, ABOUT)
    assert Model.load(old).name == "glyphs"
    assert not (old / "MODEL_CARD.md").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["glyphs"]


@pytest.mark.parametrize("when", ["write_model", "rename"])
def test_the_old_model_stays_if_the_new_one_cannot_be_written(when, old, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    if when == "write_model":
        monkeypatch.setattr(exporting, "write_model", full)
    else:
        rename = type(old).rename

        def not_the_new(path, target):
            if target == old and not path.name.endswith(".old"):
                full()
            return rename(path, target)

        monkeypatch.setattr(type(old), "rename", not_the_new)
    with pytest.raises(TrainingError, match=r"cannot be written to .*No space left"):
        export(a_network(), a_set(6), old, ABOUT)
    assert Model.load(old).name == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["glyphs"]


def test_a_folder_that_is_not_a_model_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(TrainingError, match="is not a model; name another folder"):
        export(a_network(), a_set(6), tmp_path, ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_may_become_a_model(tmp_path):
    export(a_network(), a_set(6), tmp_path / "deep" / "er", ABOUT)
    (tmp_path / "empty").mkdir()
    export(a_network(), a_set(6), tmp_path / "empty", ABOUT)
    assert Model.load(tmp_path / "empty").name == "glyphs"


def test_one_class_is_refused_and_leaves_no_files(tmp_path):
    with pytest.raises(TrainingError, match="two classes or more"):
        export(a_network(), a_set(1), tmp_path / "glyphs", ABOUT)
    assert list(tmp_path.iterdir()) == []
