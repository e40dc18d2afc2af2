"""Precision, threads, memory, compilation and child processes."""

import os
import shutil
import subprocess
import sys
import time

import pytest
import smoke
import torch

from pg2lib import cli, commands
from pg2lib.core import devices
from pg2lib.core.files import UserError
from pg2lib.data import heatmaps
from pg2lib.models import pg2


def cpu_with(monkeypatch, flags):
    """Let the processor have these flags."""
    monkeypatch.setattr(devices.Path, "read_text", lambda path: f"processor: 0\nflags\t\t: {flags}")


def test_bfloat16_only_where_the_processor_multiplies_it(monkeypatch):
    cpu_with(monkeypatch, "fpu avx2 avx512f avx512_bf16")
    assert devices.fast_precision("cpu") == "bfloat16"
    assert devices.precision_text("cpu", "auto") == "bfloat16 on cpu (avx512_bf16)"
    assert devices.precision_text("cpu", "float32") == "float32 on cpu, as configured"
    cpu_with(monkeypatch, "fpu avx2 avx512f avx512_bf16_not_quite")
    assert devices.fast_precision("cpu") == "float32"
    assert "no instructions for bfloat16" in devices.precision_text("cpu", "auto")


def test_an_unknown_processor_takes_float32(monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(devices.Path, "read_text", missing)
    assert devices.fast_precision("cpu") == "float32"


@pytest.mark.parametrize("wish, fixed", [(None, True), ("0", False)])
def test_torchs_compiler_keeps_to_its_kernels_unless_told(wish, fixed):
    code = "import torch; from pg2lib.workflow import pipeline; import torch._inductor.config as c"
    environment = {k: v for k, v in os.environ.items() if k != "TORCHINDUCTOR_DETERMINISTIC"}
    environment |= {} if wish is None else {"TORCHINDUCTOR_DETERMINISTIC": wish}
    command = [sys.executable, "-c", f"{code}; print(c.deterministic)"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(fixed)


def test_tuned_sets_threads_and_reproducible_cudnn_and_puts_them_back():
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic
    with devices.tuned(before[0] + 1, "cpu"):
        assert torch.get_num_threads() == before[0] + 1
        assert torch.backends.cudnn.enabled and torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark and not torch.backends.cudnn.allow_tf32
    assert (torch.get_num_threads(), torch.backends.cudnn.deterministic) == before


@pytest.mark.skipif(sys.platform != "linux", reason="counts Linux page faults")
def test_freed_memory_is_kept():
    """A block of 64 MB, freed and taken again, is not mapped and zeroed anew: no page faults."""
    code = """if True:
        import resource, sys, torch
        from pg2lib.core import devices
        if sys.argv[1] == "kept":
            devices.keep_memory()
        def faults():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(10):
                torch.ones(16_000_000)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        faults(), faults()
        print(faults())
    """
    counts = [
        int(
            subprocess.run(
                [sys.executable, "-c", code, word], capture_output=True, check=True
            ).stdout
        )
        for word in ("plain", "kept")
    ]
    if counts[0] < 10_000:
        pytest.skip("this C library keeps memory by itself")
    assert counts[1] < counts[0] / 10


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_computes_the_same():
    """What CUDA uses by default, on the CPU: image and gradients agree to 1e-4 in float32."""
    torch.manual_seed(0)
    plain = pg2.G1(16, 8, channels=4)
    images, keypoints = torch.randn(2, 3, 16, 8), torch.rand(2, 18, 2) * 8
    pose = heatmaps.heatmaps(keypoints, 16, 8)
    results = []
    for network in (plain, devices.compiled(plain, "cpu", "yes")):
        plain.zero_grad()
        painted = network(images, pose, keypoints)
        painted.square().mean().backward()
        results.append([painted.detach(), *(p.grad.clone() for p in plain.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_only_cuda_compiles_by_itself():
    network = torch.nn.Linear(2, 2)
    assert devices.compiled(network, "cpu", "auto") is network
    assert devices.compiled(network, "cpu", "no") is network


def test_the_fast_step_is_the_plain_step_but_for_rounding():
    """channels-last and bfloat16 against plain float32, G1 at smoke size: the image to 3 %."""
    stage = smoke.config("G1-poseMaskLoss")
    torch.manual_seed(0)
    network = pg2.G1(stage.height, stage.width, 16)
    images = torch.rand(4, 3, stage.height, stage.width) * 2 - 1
    keypoints = torch.rand(4, 18, 2) * stage.width
    pose = heatmaps.heatmaps(keypoints, stage.height, stage.width)
    plain = network(images, pose, keypoints)
    lasting = network.to(memory_format=torch.channels_last)(images, pose, keypoints)
    torch.testing.assert_close(lasting, plain, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        low = network(images, pose, keypoints).float()
    assert (low - plain).abs().mean() < 0.03 * plain.abs().mean()


def test_a_child_ends_when_its_parent_is_killed():
    parent = """if True:
        import multiprocessing, time
        from concurrent.futures import ProcessPoolExecutor
        from pg2lib.core import devices
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(1, context, initializer=devices.end_with_parent)
        pool.submit(print, "up", flush=True).result()
        time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    process.kill()
    began = time.time()
    assert process.stdout.read() == b""  # ends when the last process that could write has ended
    assert time.time() - began < 20


def test_a_process_without_such_a_parent_goes_on():
    code = "from pg2lib.core import devices; devices.end_with_parent(); print(devices.cpu_count())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0 and int(done.stdout) >= 1


@pytest.mark.parametrize("command", ["train G1-L1", "evaluate", "matrix", "describe"])
def test_mps_is_for_generation_alone(command, capsys, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert cli.main([*command.split(), "--profile", "smoke", "--device", "mps"]) == 2
    assert "mps is for pg2 generate alone; choose cpu or cuda" in capsys.readouterr().err
    words = "generate --image a.png --target-pose b.json --out c --device mps".split()
    assert commands.study_of(cli.parser().parse_args(words)).device == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match="mps is not available on this machine"):
        commands.study_of(cli.parser().parse_args(words))
