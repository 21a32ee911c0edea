"""Shared set-up: reproducible hypothesis runs, and the devices that tests run on."""

import os

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("default", deadline=None, derandomize="CI" in os.environ, max_examples=25)
hypothesis.settings.register_profile("few", deadline=None, derandomize=True, max_examples=3)  # under a sanitizer
hypothesis.settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    # In tensors as small as those of most tests, threads mostly wait for each other; tests/ops has two.
    torch.set_num_threads(1)


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device: CUDA cases run where torch.cuda.is_available()")
    return str(request.param)


@pytest.fixture
def gpu() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: CUDA cases run where torch.cuda.is_available()")
    return "cuda"
