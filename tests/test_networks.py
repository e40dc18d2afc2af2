"""Networks against published sizes, hand-derived shapes and plain re-statements of what they do."""

import pytest
import smoke
import torch
import torch.nn.functional as F

from pg2lib.core.files import UserError
from pg2lib.models import pg2
from pg2lib.models.discriminators import D
from pg2lib.models.layers import BatchNorm, ResidualBlock, blocks_for, parameter_count
from pg2lib.models.pg2 import G1, G2, coordinates


@pytest.mark.parametrize(
    "build, count",
    [
        (lambda: G1(128, 64), 70_795_075),
        (lambda: G1(256, 256), 122_103_235),
        (lambda: G2(128, 64), 6_058_883),
        (lambda: G2(256, 256, skip_full_res=True), 12_696_067),
        (lambda: D(128, 64, inputs=3), 4_324_737),
        (lambda: D(128, 64, inputs=6), 4_329_537),
        (lambda: G1(128, 64, channels=64), 18_104_259),
    ],
)
def test_parameter_counts_are_the_published_ones(build, count):
    with torch.device("meta"):
        assert parameter_count(build()) == count


@pytest.mark.parametrize("pose", ["concatenation", "CE", "HME"])
@pytest.mark.parametrize("size", [(32, 16), (64, 32), (64, 64)])
def test_g1_keeps_the_size_and_uses_the_pose(pose, size):
    torch.manual_seed(0)
    net = G1(*size, channels=4, embedding=8, pose=pose)
    image, heat = torch.randn(2, 3, *size), torch.rand(2, 18, *size)
    keypoints = torch.rand(2, 18, 2) * 15
    out = net(image, heat, keypoints)
    assert out.shape == (2, 3, *size)
    moved = net(image, heat.flip(2), keypoints.flip(1))
    assert not torch.allclose(out, moved)


def shaken(net):
    """The network with biases other than 0, and its parameters by name."""
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.2)
    return net, dict(net.named_parameters())


def conv(x, weights, name, stride=1):
    weight = weights[f"{name}.weight"]
    return F.conv2d(x, weight, weights[f"{name}.bias"], stride, weight.shape[-1] // 2)


def linear(x, weights, name):
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def doubled(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def residual_block(x, weights, name):
    inner = F.relu(conv(x, weights, f"{name}.first"))
    return x + F.relu(conv(inner, weights, f"{name}.second"))


def encoded(x, weights, name, count):
    """The code and skips of an encoder of `count` blocks."""
    x, skips = F.relu(conv(x, weights, f"{name}.first")), []
    for k in range(count):
        x = residual_block(x, weights, f"{name}.blocks.{k}")
        skips.append(x)
        if k < count - 1:
            x = F.relu(conv(x, weights, f"{name}.downs.{k}", stride=2))
    return linear(x.flatten(1), weights, f"{name}.code"), skips


@pytest.mark.parametrize("pose", ["concatenation", "CE", "HME"])
def test_g1_is_what_the_released_code_computes(pose):
    """The released order, nearest x2 and then 1x1 + ReLU; CE and HME join the two codes."""
    torch.manual_seed(0)
    net, weights = shaken(G1(32, 16, channels=4, embedding=8, pose=pose))
    image, heat = torch.randn(2, 3, 32, 16), torch.rand(2, 18, 32, 16)
    keypoints = torch.rand(2, 18, 2) * 15
    shown = torch.cat([image, heat], 1) if pose == "concatenation" else image
    code, skips = encoded(shown, weights, "encoder", 3)
    if pose == "CE":
        joints = coordinates(keypoints, 32, 16)
        hidden = F.relu(linear(joints, weights, "pose_encoder.0"))
        code = torch.cat([code, linear(hidden, weights, "pose_encoder.2")], 1)
    elif pose == "HME":
        code = torch.cat([code, encoded(heat, weights, "pose_encoder", 3)[0]], 1)
    x = linear(code, weights, "expand").view(2, 4, 8, 4)
    for k in range(3):
        x = residual_block(torch.cat([x, skips[2 - k]], 1), weights, f"blocks.{k}")
        x = F.relu(conv(doubled(x), weights, f"ups.{k}")) if k < 2 else x
    expected = conv(x, weights, "last")
    torch.testing.assert_close(net(image, heat, keypoints), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("skip, full", [(False, False), (True, False), (False, True)])
def test_g2_is_what_the_released_code_computes(skip, full):
    """Its deepest block joins the bottleneck with itself; `full` is this project's ablation."""
    torch.manual_seed(0)
    switches = dict(skip_full_res=skip, fully_connected=full, embedding=8)
    net, weights = shaken(G2(128, 64, channels=2, **switches))
    coarse, condition = torch.randn(2, 2, 3, 128, 64)
    x, skips = F.relu(conv(torch.cat([coarse, condition], 1), weights, "first")), []
    for k in range(3):
        for half in range(2):
            x = F.relu(conv(x, weights, f"encoder.{k}.{half}"))
        skips.append(x)
        x = F.relu(conv(x, weights, f"downs.{k}", stride=2)) if k < 2 else x
    if full:
        code = linear(x.flatten(1), weights, "bottleneck.0")
        x = linear(code, weights, "bottleneck.1").view(x.shape)
    for k in range(3):
        x = torch.cat([x, skips[2 - k]], 1) if k < 2 or skip else x
        for half in range(2):
            x = F.relu(conv(x, weights, f"decoder.{k}.{half}"))
        x = doubled(x) if k < 2 else x
    expected = conv(x, weights, "last")
    torch.testing.assert_close(net(coarse, condition), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("output", ["image", "patch"])
def test_d_is_what_the_released_code_computes(output):
    """5x5 convolutions of stride 2, normalised from the second on by the batch, then leaky ReLUs
    of slope 0.2."""
    torch.manual_seed(0)
    net, weights = shaken(D(64, 32, channels=4, inputs=6, output=output))
    images = torch.randn(3, 6, 64, 32)
    x = images
    for k in range(3):
        x = conv(x, weights, f"convs.{k}", stride=2)
        if k:
            variance, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
            scale, shift = (weights[f"norms.{k - 1}.{p}"] for p in ("weight", "bias"))
            x = (x - mean) / (variance + 1e-5).sqrt() * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
        x = torch.where(x > 0, x, 0.2 * x)
    patches = output == "patch"
    expected = conv(x, weights, "logit") if patches else linear(x.flatten(1), weights, "logit")
    expected = expected.flatten(1) if patches else expected[:, 0]
    torch.testing.assert_close(net(images), expected, atol=1e-5, rtol=1e-5)


def test_ce_coordinates_span_the_frame_and_missing_joints_are_zero():
    keypoints = torch.full((1, 18, 2), -1.0)
    keypoints[0, 0] = torch.tensor([0.0, 0.0])
    keypoints[0, 1] = torch.tensor([63.0, 127.0])
    code = coordinates(keypoints, 128, 64)
    assert code.shape == (1, 36)
    assert code[0, :4].tolist() == [-1, -1, 1, 1]
    assert code[0, 4:].abs().max() == 0


def test_with_visibility_a_missing_joint_differs_from_one_at_the_centre():
    keypoints = torch.full((1, 18, 2), -1.0)
    keypoints[0, 0] = torch.tensor([31.5, 63.5])  # the centre of the frame
    plain, visible = (coordinates(keypoints, 128, 64, bit) for bit in (False, True))
    assert plain[0, :2].tolist() == plain[0, 2:4].tolist() == [0, 0]
    assert visible.shape == (1, 54)
    assert visible[0, :6].tolist() == [0, 0, 1, 0, 0, 0]
    image = torch.randn(1, 3, 64, 32)
    net = G1(64, 32, channels=4, pose="CE", visibility=True)
    assert net(image, keypoints=keypoints).shape == image.shape


def test_without_skips_the_decoder_sees_the_code_alone():
    torch.manual_seed(0)
    net = G1(64, 32, channels=4, skips=False)
    net.expand.weight.data.zero_()  # so that no code reaches the decoder either
    images, heat = torch.randn(2, 3, 64, 32), torch.rand(2, 18, 64, 32)
    one, other = net(images, heat)
    assert torch.equal(one, other)
    with_skips = G1(64, 32, channels=4)
    with_skips.expand.weight.data.zero_()
    one, other = with_skips(images, heat)
    assert not torch.equal(one, other)


def test_a_reflecting_discriminator_sees_no_frame_around_a_plain_image():
    torch.manual_seed(0)
    plain = torch.full((1, 3, 64, 32), 0.5)
    for padding, even in (("reflect", True), ("zeros", False)):
        critic = D(64, 32, 4, inputs=3, output="patch", norm="spectral", padding=padding)
        logits = critic.eval()(plain).detach()
        assert (float(logits.max() - logits.min()) < 1e-6) is even


@pytest.mark.parametrize("skip", [True, False])
def test_g2_keeps_the_size(skip):
    net = G2(64, 32, channels=4, skip_full_res=skip)
    assert net(torch.randn(2, 3, 64, 32), torch.randn(2, 3, 64, 32)).shape == (2, 3, 64, 32)


def test_g2_full_resolution_skip_only_exists_when_asked_for():
    torch.manual_seed(0)
    wide, narrow = (parameter_count(G2(128, 64, 8, skip_full_res=s)) for s in (True, False))
    assert wide - narrow == 8 * 8 * 9  # one more 3x3 input of c channels into c


def test_g2_with_a_fully_connected_bottleneck_passes_so_many_numbers():
    torch.manual_seed(0)
    plain, full = G2(64, 32, 4), G2(64, 32, 4, fully_connected=True, embedding=8)
    numbers = 4 * 2 * 32 * 16  # 2c channels at half the size
    assert parameter_count(full) - parameter_count(plain) == 2 * 8 * numbers + 8 + numbers
    seen = []
    full.bottleneck[0].register_forward_hook(lambda module, given, made: seen.append(made.shape))
    image = torch.randn(2, 3, 64, 32)
    assert full(image, image).shape == image.shape and seen == [(2, 8)]


def test_blocks_without_residuals_do_not_add_their_input():
    torch.manual_seed(0)
    block, plain = ResidualBlock(3), ResidualBlock(3, residual=False)
    plain.load_state_dict(block.state_dict())
    x = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(block(x) - plain(x), x)
    assert not any(part.residual for part in G1(64, 32, 4, residual=False).modules()
                   if isinstance(part, ResidualBlock))  # fmt: skip


def test_d_gives_one_logit_and_normalises_with_the_batch_even_in_eval():
    torch.manual_seed(0)
    net = D(64, 32, channels=8, inputs=3).eval()
    a, b = torch.randn(4, 3, 64, 32), torch.randn(4, 3, 64, 32)
    assert net(a).shape == (4,)
    assert not torch.allclose(net(torch.cat([a, b]))[:4], net(a))  # shared statistics


def test_blocks_follow_the_paper_and_odd_sizes_are_refused():
    assert (blocks_for(128), blocks_for(256)) == (5, 6)
    with pytest.raises(UserError, match="power of two"):
        blocks_for(100)
    with pytest.raises(UserError, match="concatenation"):
        G1(64, 32, 4, pose="hme")


def uneven(kernel):
    """How unevenly gradients of D's convolutions fall on neighbouring columns: the ratio of the
    largest to the smallest mean energy among columns 0 to 15, modulo 2."""
    energies = []
    for seed in range(8):
        torch.manual_seed(seed)
        net = D(128, 64, channels=8, inputs=3, kernel=kernel, norm="none")
        image = torch.randn(4, 3, 128, 64, requires_grad=True)
        layers = net(image, features=True)[1]
        (layers[-1] * torch.randn_like(layers[-1])).sum().backward()
        energies.append(image.grad.square().mean((0, 1, 2))[16:48].view(-1, 2).mean(0))
    mean = torch.stack(energies).mean(0)
    return (mean.max() / mean.min()).item()


def test_gradients_of_kernels_that_the_stride_divides_carry_no_checkerboard():
    assert uneven(5) > 1.2 and uneven(4) < 1.1


def test_d_gives_a_logit_per_image_or_per_patch():
    images = torch.rand(2, 6, 64, 32)
    assert D(64, 32, channels=4)(images).shape == (2,)
    assert D(64, 32, channels=4, output="patch")(images).shape == (2, 8 * 4)
    assert D(64, 32, channels=4, kernel=4)(images, features=True)[1][-1].shape == (2, 16, 8, 4)


def test_spectral_normalisation_bounds_every_layer_of_d():
    torch.manual_seed(0)
    net = D(64, 32, channels=4, norm="spectral")
    for _ in range(60):  # a power iteration per call
        net(torch.rand(1, 6, 64, 32))
    for layer in (*net.convs, net.logit):
        assert torch.linalg.svdvals(layer.weight.flatten(1))[0].item() == pytest.approx(1, abs=0.02)
    assert not any(isinstance(module, BatchNorm) for module in net.modules())


def painted_by_g2(init):
    """(difference map, what G2's last layer sees) of a new G2."""
    torch.manual_seed(0)
    net, seen = pg2.build(smoke.config("G1+G2+D", channels=16, g2_init=init))["generator"], []
    net.last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    return net(*torch.rand(2, 2, 3, 64, 32) * 2 - 1), seen[0]


def test_a_g2_that_starts_at_zero_paints_no_difference_and_has_lively_layers():
    (difference, inside), (usual, usual_inside) = painted_by_g2("zero"), painted_by_g2("xavier")
    assert (difference == 0).all() and (usual != 0).any()
    assert inside.std() > 5 * usual_inside.std()


def test_a_gain_scales_the_first_weights_of_g1_and_nothing_else():
    scaled = []
    for gain in (1.0, 0.5):
        torch.manual_seed(0)
        scaled.append(pg2.build(smoke.config("G1-L1", init_gain=gain))["generator"].state_dict())
    assert all(torch.equal(scaled[0][name] * 0.5, scaled[1][name]) for name in scaled[0])
