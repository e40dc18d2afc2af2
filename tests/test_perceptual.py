"""Inception Score, FID, KID and LPIPS without their weights: hand-computed values, slow plain
NumPy, closed forms, and torch-fidelity with random weights."""

import hashlib
import sys
import urllib.error
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from pg2lib.core.downloads import NoWeights
from pg2lib.core.files import UserError
from pg2lib.evaluation import inception, perceptual


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(7).integers(0, 256, (5, 32, 16, 3), dtype=np.uint8)


# ---- Inception Score


def test_inception_score_by_hand():
    """k classes, each certain for as many images: exp(KL) = k; all images alike: 1."""
    certain = 60 * np.eye(4)[np.arange(12) % 4]
    assert inception.score_from_logits(certain, splits=1) == pytest.approx((4, 0))
    assert inception.score_from_logits(np.ones((12, 4)), splits=3) == pytest.approx((1, 0))
    # First split: one class only, score 1; second: two classes, score 2. Mean 1.5, std 0.5.
    halves = 60 * np.eye(4)[[0, 0, 0, 0, 1, 2, 1, 2]]
    assert inception.score_from_logits(halves, splits=2) == pytest.approx((1.5, 0.5))
    with pytest.raises(UserError, match="3 images"):
        inception.score_from_logits(np.ones((3, 4)))


def test_inception_score_is_torch_fidelitys():
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = np.random.default_rng(6).normal(size=(107, 30)) * 3
    expected = isc.isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=False)
    found = inception.score_from_logits(logits)
    assert found == pytest.approx(tuple(expected.values()), rel=1e-12)
    shuffled = isc.isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=True)
    assert shuffled["inception_score_std"] != pytest.approx(expected["inception_score_std"])


def test_the_interval_of_the_inception_score():
    """Against resamples scored one by one, and: more people, narrower."""
    random = np.random.default_rng(0)
    people = random.permutation(np.repeat(np.arange(20), 6))
    logits = 3 * random.normal(size=(20, 8))[people] + random.normal(size=(120, 8))
    low, high = inception.score_interval(logits, people, splits=2, resamples=50)
    slow = []
    for drawn in np.random.default_rng(0).multinomial(20, np.full(20, 1 / 20), 50):
        halves = []
        for half in (slice(60), slice(60, 120)):
            counts = drawn[people[half]]
            halves.append(inception.score_from_logits(logits[half].repeat(counts, 0), 1)[0])
        slow.append(np.mean(halves))
    score = inception.score_from_logits(logits, 2)[0]
    expected = np.quantile(slow, [0.025, 0.975]) - np.mean(slow) + score
    assert (low, high) == pytest.approx(tuple(expected))
    assert low < score < high
    alone = inception.score_interval(logits, np.arange(120), splits=2)
    assert alone[1] - alone[0] < high - low
    assert np.isnan(inception.score_interval(logits, np.zeros(120))).all()


def random_inception(features):
    """torch-fidelity's network with random weights; nothing may be downloaded."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    Network = module.FeatureExtractorInceptionV3
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(Network, "load_state_dict", lambda *_: None)
        network = Network("random", features)
    noise = torch.randint(0, 256, (4, 3, 32, 16), dtype=torch.uint8)
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in layers:  # so that the signal does not die out on its way through 90 layers
        layer.train().momentum = 1
    with torch.no_grad():
        network(noise)
        network.fc.weight.mul_(20)  # sure answers
    return network.eval()


def test_inception_features_with_random_weights(images, tmp_path):
    """Two whole images, and one of which only the upper half is seen."""
    network = random_inception(["2048", "logits_unbiased"])
    weights = tmp_path / "weights.pth"
    torch.save(network.state_dict(), weights)
    masks = np.ones((3, 32, 16), bool)
    masks[2, 16:] = False
    masked = torch.from_numpy(images[:3] * masks[..., None])
    with torch.inference_mode():
        expected = network(masked.permute(0, 3, 1, 2))
    said = []
    found = inception.inception_features(
        images[::-1], weights, batch=2, progress=lambda *a: said.append(a),
        masks=masks.__getitem__, index=np.array([4, 3, 2]),
    )  # fmt: skip
    assert said == [(2, 3), (3, 3)]
    for ours, theirs, width in zip(found, expected, (2048, 1008)):
        assert ours.shape == (3, width)
        assert ours == pytest.approx(theirs.numpy(), rel=1e-3, abs=1e-5)
        assert abs(ours[0] - ours[1]).max() > 10 * abs(ours - theirs.numpy()).max()
    assert np.isfinite(inception.score_from_logits(found[1], splits=1)).all()


def test_without_torch_fidelity_the_sentence_names_the_extra(images, monkeypatch):
    monkeypatch.delenv("PG2_INCEPTION", raising=False)
    for module in ("torch_fidelity", "torch_fidelity.feature_extractor_inceptionv3"):
        monkeypatch.setitem(sys.modules, module, None)
    for call in (
        inception.INCEPTION.require,
        lambda: inception.inception_features(images, "weights.pth"),
    ):
        with pytest.raises(NoWeights, match=r"pip install \.\[scores\]"):
            call()
    assert inception.INCEPTION.find() is None


# ---- FID and KID


def test_fid_of_two_normal_distributions():
    """Samples with given mean and covariance, to the letter, against the closed form."""
    random, d = np.random.default_rng(0), 6
    samples, moments = [], []
    for n in (50, 40):
        mean, root = random.normal(size=d), random.normal(size=(d, d))
        white = random.normal(size=(n, d))
        white -= white.mean(0)
        white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T)).T)
        samples.append(mean + white @ root)
        moments.append((mean, root.T @ root))
    (m1, s1), (m2, s2) = moments
    expected = ((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
    assert inception.fid(*samples) == pytest.approx(expected, rel=1e-9)
    assert inception.fid(samples[0], samples[0]) == pytest.approx(0, abs=1e-9)
    shifted = inception.fid(samples[0] + 2, samples[0])
    assert shifted == pytest.approx(4 * d)


@pytest.mark.parametrize("n, m", [(60, 80), (10, 7)])  # more, and fewer, images than features
def test_fid_is_torch_fidelitys(n, m):
    fidelity = pytest.importorskip("torch_fidelity.metric_fid")
    random = np.random.default_rng(1)
    x, y = random.normal(size=(n, 12)), 0.5 + random.normal(size=(m, 12)) ** 2
    statistics = [fidelity.fid_features_to_statistics(torch.from_numpy(a)) for a in (x, y)]
    expected = fidelity.fid_statistics_to_metric(*statistics, verbose=False)
    assert inception.fid(x, y) == pytest.approx(*expected.values(), rel=1e-5)


def slow_kid(x, y):
    """The unbiased estimate, pair by pair."""
    n = len(x)

    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    different = [(i, j) for i in range(n) for j in range(n) if i != j]
    xx = np.mean([kernel(x[i], x[j]) for i, j in different])
    yy = np.mean([kernel(y[i], y[j]) for i, j in different])
    return xx + yy - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_kid_against_a_plain_loop_and_torch_fidelity():
    random = np.random.default_rng(2)
    people = random.integers(0, 7, 30)
    x, y = random.normal(size=(30, 12)), 0.3 + random.normal(size=(30, 12))
    found, low, high = inception.kid(x, y, np.arange(30), people)
    assert found == pytest.approx(slow_kid(x, y), rel=1e-10)
    assert low < found < high
    fidelity = pytest.importorskip("torch_fidelity.metric_kid")
    theirs = fidelity.kid_features_to_metric(
        *map(torch.from_numpy, (x, y)), kid_subsets=1, kid_subset_size=30, verbose=False
    )
    assert found == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    alone = inception.kid(x, y, np.arange(30), np.zeros(30))
    assert alone[0] == pytest.approx(found) and np.isnan(alone[1:]).all()


def test_the_interval_of_kid_against_resamples_one_by_one():
    """Every person has two real images, of which one is a target twice."""
    random = np.random.default_rng(3)
    people, target = np.repeat(np.arange(5), 3), np.tile([0, 1, 1], 5) + np.arange(15) // 3 * 2
    x, real = random.normal(size=(15, 4)), random.normal(size=(10, 4))
    slow = []
    for drawn in np.random.default_rng(0).multinomial(5, np.full(5, 1 / 5), 40):
        copies = np.repeat(np.arange(5), drawn)
        index = np.concatenate([np.flatnonzero(people == p) for p in copies])
        copy = np.repeat(np.arange(len(copies)), 3)
        # Images of one person in two of the copies are left out.
        use = (copy[:, None] == copy) | (people[index][:, None] != people[index])
        a, b = x[index], real[target[index]]
        xx, yy, xy = ((p @ q.T / 4 + 1) ** 3 for p, q in ((a, a), (b, b), (a, b)))
        other = use & ~np.eye(15, dtype=bool)
        unlike = use & (target[index][:, None] != target[index])
        slow.append(xx[other].mean() + yy[unlike].mean() - 2 * xy[use].mean())
    found = inception.kid(x, real, target, people, resamples=40)
    assert found[1:] == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])))


def test_kid_of_one_distribution_is_zero_on_average_and_its_interval_covers_that():
    random, covered, found = np.random.default_rng(4), 0, []
    for seed in range(100):
        x, y = random.normal(size=(2, 60, 5))
        each = np.arange(60)
        value, low, high = inception.kid(x, y, each, each, resamples=200, seed=seed)
        covered += low <= 0 <= high
        found.append(value)
    assert abs(np.mean(found)) < 3 * np.std(found) / 10
    assert 0.85 <= covered / 100


def test_kid_of_one_distribution_is_zero_where_pairs_share_their_targets():
    """60 real images, each the target of five generated ones. Comparing equal images would add
    4 / 299 of how much more alike an image is to itself than to others: here 0.11."""
    random, found = np.random.default_rng(5), []
    target = np.tile(np.arange(60), 5)
    for _ in range(40):
        x, real = random.normal(size=(300, 8)), random.normal(size=(60, 8))
        found.append(inception.kid(x, real, target, target, resamples=1)[0])
    error = np.std(found) / np.sqrt(40)
    assert abs(np.mean(found)) < 3 * error < 0.03


# ---- LPIPS


@pytest.fixture(scope="module")
def vgg_path(tmp_path_factory):
    """A file like torchvision's VGG16, with random weights."""
    from torchvision.models import vgg16

    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in vgg16().state_dict().items()}
    vgg = {
        key: torch.randn(shape) * (2 / np.prod(shape[1:])) ** 0.5
        if key.startswith("features") and len(shape) > 1
        else torch.zeros(1).expand(shape)  # the classifier's 120 million, unused
        for key, shape in shapes.items()
    }
    path = tmp_path_factory.mktemp("vgg") / "vgg.pth"
    torch.save(vgg, path)
    return path


@pytest.fixture(scope="module")
def network(vgg_path):
    pytest.importorskip("lpips")
    return perceptual.lpips_network(vgg_path)


def test_lpips_is_torch_fidelitys(vgg_path, network, images, monkeypatch):
    module = pytest.importorskip("torch_fidelity.sample_similarity_lpips")
    from torchvision.models import vgg16

    with torch.device("meta"):
        trunk = vgg16()
    trunk.load_state_dict(torch.load(vgg_path, weights_only=True), assign=True)
    heads = {key: value for key, value in network.state_dict().items() if key[:4] in
             ("lin0", "lin1", "lin2", "lin3", "lin4")}  # fmt: skip
    assert all(head.min() >= 0 and head.max() > 0 for head in heads.values())  # the trained ones
    monkeypatch.setattr(module, "load_state_dict_from_url", lambda *_, **__: heads)
    monkeypatch.setattr(module, "torchvision_load_pretrained_vgg16", lambda: trunk)
    theirs = module.SampleSimilarityLPIPS("random")
    a, b = images[:4], images[1:]
    with torch.inference_mode():
        expected = theirs(*(torch.from_numpy(x).permute(0, 3, 1, 2) for x in (a, b))).numpy()
    ours = perceptual.lpips(a, b, network, batch=3)
    assert ours == pytest.approx(expected, rel=1e-4)
    assert (ours.dtype, len(set(ours))) == (np.float64, 4)


def test_lpips_of_equal_images_is_zero_and_the_order_does_not_matter(network, images):
    assert (perceptual.lpips(images[:2], images[:2], network) == 0).all()
    a, b = images[:2], images[2:4]
    there, back = perceptual.lpips(a, b, network), perceptual.lpips(b, a, network)
    assert there == pytest.approx(back, rel=1e-6) and (there > 0).all()
    near = perceptual.lpips(a, np.clip(a.astype(int) + 3, 0, 255).astype(np.uint8), network)
    assert (near < there / 3).all()
    with pytest.raises(UserError, match="uint8"):
        perceptual.lpips(a / 255, b, network)


def test_without_the_package_lpips_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.delenv("PG2_LPIPS", raising=False)
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(NoWeights, match=r"pip install \.\[scores\]"):
        perceptual.VGG16.require()
    assert perceptual.VGG16.find() is None


# ---- where weights come from


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch hub, downloads allowed; returns the folder where weights would be."""
    pytest.importorskip("torch_fidelity")
    pytest.importorskip("lpips")
    for name in ("PG2_DOWNLOAD", "PG2_INCEPTION", "PG2_LPIPS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints"


def expect(monkeypatch, content, module=inception, name="INCEPTION", **fields):
    """From now on the weights `name` of a module are these bytes."""
    fields |= {"sha256": hashlib.sha256(content).hexdigest()}
    monkeypatch.setattr(module, name, replace(getattr(module, name), **fields))


def test_weights_found_are_checked(hub, monkeypatch):
    monkeypatch.setenv("PG2_DOWNLOAD", "off")
    assert inception.INCEPTION.find() is None
    with pytest.raises(NoWeights, match="downloads are off.*PG2_INCEPTION"):
        inception.INCEPTION.require()

    hub.mkdir()
    path = hub / inception.INCEPTION.file
    path.write_bytes(b"not the weights")
    assert inception.INCEPTION.find() is None
    with pytest.raises(NoWeights, match="SHA-256"):
        inception.INCEPTION.require()

    expect(monkeypatch, b"not the weights")
    assert inception.INCEPTION.find() == path
    for given in (path, hub):
        monkeypatch.setenv("PG2_INCEPTION", str(given))
        assert inception.INCEPTION.find() == path
    path.write_bytes(b"damaged since")
    with pytest.raises(NoWeights, match="SHA-256"):
        inception.INCEPTION.find()  # what the user named must be right
    monkeypatch.setenv("PG2_INCEPTION", str(hub / "nowhere.pth"))
    with pytest.raises(NoWeights, match="nowhere.pth"):
        inception.INCEPTION.find()


def test_to_look_for_weights_imports_no_package(hub, monkeypatch):
    """It takes seconds, and every command that scores or plans looks for them."""
    packages = ("torch_fidelity", "torch_fidelity.feature_extractor_inceptionv3", "lpips")
    for name in packages:
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert inception.INCEPTION.find(False) is None and perceptual.VGG16.find(False) is None
    assert not {*packages} & {*sys.modules}


def test_offline_fails_fast_and_asks_once(hub, monkeypatch):
    attempts = []

    def offline(request):
        attempts.append(request)
        raise urllib.error.URLError("offline")

    monkeypatch.setattr(torch.hub, "urlopen", offline)
    for find in (inception.INCEPTION.find, perceptual.VGG16.find):
        assert find(download=False) is None and not attempts
    for _ in range(2):
        for require in (inception.INCEPTION.require, perceptual.VGG16.require):
            with pytest.raises(NoWeights, match="offline.*or put the file there"):
                require()
    assert len(attempts) == 2


@pytest.mark.parametrize("honest", [True, False])
def test_a_download_is_checked_before_it_counts(honest, hub, tmp_path, monkeypatch):
    (tmp_path / "net.pth").write_bytes(b"net")
    address = (tmp_path / "net.pth").as_uri()
    for module, name in ((inception, "INCEPTION"), (perceptual, "VGG16")):
        expect(monkeypatch, b"net" if honest else b"other", module, name, url=address)
    if honest:
        assert inception.INCEPTION.find().read_bytes() == b"net"
        assert perceptual.VGG16.find().read_bytes() == b"net"
    else:
        with pytest.raises(NoWeights, match="invalid hash"):
            inception.INCEPTION.require()
        assert not list(hub.iterdir())
