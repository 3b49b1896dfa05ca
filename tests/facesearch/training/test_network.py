import math

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra train")

from facesearch.training.network import (  # noqa: E402
    KochBranch,
    L1Head,
    PReLU,
    ResidualBranch,
    SiameseNetwork,
)


def small_branch(channels=1):
    torch.manual_seed(0)
    return ResidualBranch(
        trunks=2,
        side_px=16,
        channels=channels,
        stem=4,
        widths=(6, 8),
        depths=(1, 2),
        dim=4,
        dropout=0.0,
    )


def test_kochs_network_has_the_papers_number_of_parameters():
    network = SiameseNetwork(KochBranch(), L1Head(4096))
    # 6,464 + 401,536 + 262,272 + 524,544 in the convolutions, 37,752,832 and 4,097 above them
    assert sum(p.numel() for p in network.parameters()) == 38_951_745


def test_kochs_feature_maps_have_the_papers_sizes():
    sizes, x = [], torch.zeros(1, 1, 105, 105)
    branch = KochBranch()
    for layer in branch.features:
        x = layer(x)
        sizes.append(tuple(x.shape[1:]))
    convolutions = [sizes[place] for place in (0, 3, 6, 9)]
    assert convolutions == [(64, 96, 96), (128, 42, 42), (128, 18, 18), (256, 6, 6)]
    assert branch(torch.zeros(2, 1, 105, 105)).shape == (2, 4096)


def test_the_papers_initialization_has_its_means_and_deviations():
    branch = KochBranch()
    branch.initialise_as_paper(torch.Generator().manual_seed(3))
    second = branch.features[3]
    assert second.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert branch.embedding.weight.std().item() == pytest.approx(0.2, rel=0.01)
    assert branch.embedding.bias.mean().item() == pytest.approx(0.5, abs=0.001)
    assert branch.embedding.bias.std().item() == pytest.approx(0.01, rel=0.1)


def test_the_papers_head_agrees_with_a_sum_done_by_hand():
    head = L1Head(3)
    with torch.no_grad():
        head.weights.copy_(torch.tensor([2.0, -1.0, 0.5]))
        head.bias.fill_(0.25)
    a, b = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.5, 3.0, 0.0]])
    # 0.25 - (2 * 0.5 - 1 * 3 + 0.5 * 2)
    assert head(a, b).item() == pytest.approx(1.25)
    assert head.all_pairs(a, b).item() == pytest.approx(1.25)


def test_a_forward_pass_of_one_residual_block_agrees_with_plain_sums():
    torch.manual_seed(1)
    branch = ResidualBranch(
        trunks=1, side_px=4, channels=1, stem=1, widths=(1,), depths=(1,), dim=1
    )
    branch.eval()
    picture = torch.rand(1, 1, 4, 4)

    def convolved(maps, layer, norm):  # one channel in, one out, by loops
        kernel = layer.weight[0, 0].tolist()
        size, stride, pad = len(kernel), layer.stride[0], layer.padding[0]
        side = len(maps)
        out = []
        for top in range(-pad, side + pad - size + 1, stride):
            row = []
            for left in range(-pad, side + pad - size + 1, stride):
                row.append(
                    sum(
                        kernel[i][j] * maps[top + i][left + j]
                        for i in range(size)
                        for j in range(size)
                        if 0 <= top + i < side and 0 <= left + j < side
                    )
                )
            out.append(row)
        scale = norm.weight.item() / math.sqrt(norm.running_var.item() + norm.eps)
        shift = norm.bias.item() - norm.running_mean.item() * scale
        return [[x * scale + shift for x in row] for row in out]

    def activated(maps, layer):
        slope = layer.weight.item()
        return [[x if x > 0 else slope * x for x in row] for row in maps]

    (trunk,) = branch.trunks
    block = trunk.blocks[0]
    x = activated(convolved(picture[0, 0].tolist(), trunk.stem, trunk.stem_norm), trunk.stem_act)
    y = activated(convolved(x, block.first, block.first_norm), block.first_act)
    y = convolved(y, block.second, block.second_norm)
    short = convolved(x, block.shortcut, block.shortcut_norm)
    total = [[p + q for p, q in zip(*rows, strict=True)] for rows in zip(y, short, strict=True)]
    expected = activated(total, block.second_act)
    got = trunk.blocks(trunk.stem_act(trunk.stem_norm(trunk.stem(picture))))
    assert got[0, 0].tolist() == [[pytest.approx(x, abs=1e-6) for x in row] for row in expected]


@pytest.mark.parametrize("width", [None, 32], ids=["the paper's head", "with a code"])
def test_a_pair_has_one_logit_whichever_picture_comes_first(width):
    network = SiameseNetwork(small_branch(), L1Head(8, width)).eval()
    a, b = torch.rand(2, 5, 1, 16, 16)
    assert torch.equal(network(a, b), network(b, a))
    assert network(a, b).shape == (5,)


def test_the_branchs_gradient_is_the_sum_over_both_sides():
    network = SiameseNetwork(small_branch(), L1Head(8, 32)).eval()  # eval: no batch statistics
    a, b = torch.rand(2, 3, 1, 16, 16)
    network(a, b).sum().backward()
    shared = [p.grad.clone() for p in network.branch.parameters()]
    sides = []
    for side in (0, 1):
        network.zero_grad()
        first, second = network.branch(a), network.branch(b)
        kept = (first, second.detach()) if side == 0 else (first.detach(), second)
        network.head(*kept).sum().backward()
        sides.append([p.grad.clone() for p in network.branch.parameters()])
    for both, left, right in zip(shared, *sides, strict=True):
        assert torch.allclose(both, left + right, atol=1e-5)


def test_a_new_head_with_a_code_orders_pairs_by_distance():
    torch.manual_seed(0)
    head = L1Head(64, 2048)
    points = torch.nn.functional.normalize(torch.randn(60, 64))
    logits = head.all_pairs(points[:1], points[1:])[0]
    distances = (points[1:] - points[0]).norm(dim=1)
    correlation = torch.corrcoef(torch.stack([logits, -distances]))[0, 1].item()
    assert correlation > 0.98


@pytest.mark.parametrize("width", [None, 32], ids=["the paper's head", "with a code"])
def test_all_pairs_agrees_with_pairs_done_one_by_one(width):
    torch.manual_seed(0)
    head = L1Head(8, width)
    a, b = torch.randn(2, 4, 8), torch.randn(2, 3, 8)
    table = head.all_pairs(a, b)
    assert table.shape == (2, 4, 3)
    for e in range(2):
        for i in range(4):
            for j in range(3):
                one = head(a[e, i : i + 1], b[e, j : j + 1]).item()
                assert table[e, i, j].item() == pytest.approx(one, abs=1e-4)


def test_each_part_of_a_head_reads_its_part_of_the_embedding():
    torch.manual_seed(0)
    head = L1Head(8, 32, parts=2)
    a, b = torch.randn(3, 8), torch.randn(5, 8)
    both = head.part_distances(a, b)
    assert both.shape == (2, 3, 5)
    assert torch.allclose(head.bias - both.sum(0), head.all_pairs(a, b), atol=1e-4)
    moved = a.clone()
    moved[:, 4:] += 1
    after = head.part_distances(moved, b)
    assert torch.equal(after[0], both[0])
    assert not torch.allclose(after[1], both[1])


def test_embeddings_of_the_residual_branch_have_length_1():
    embeddings = small_branch(channels=3).eval()(torch.rand(4, 3, 16, 16))
    assert embeddings.shape == (4, 8)
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1.0] * 4, abs=1e-5)


def test_a_code_must_be_a_multiple_of_the_embedding():
    with pytest.raises(ValueError, match="not a multiple"):
        L1Head(8, 12)


def test_prelu_agrees_with_torchs():
    ours, torchs = PReLU(3), torch.nn.PReLU(3)
    with torch.no_grad():
        ours.weight.copy_(torch.tensor([0.1, 0.5, -0.3]))
        torchs.weight.copy_(ours.weight)
    x = torch.randn(2, 3, 4, 4)
    for layer in (ours, torchs):
        layer(x).square().sum().backward()
    assert torch.allclose(ours(x), torchs(x), atol=1e-6)
    assert torch.allclose(ours.weight.grad, torchs.weight.grad, atol=1e-4)
