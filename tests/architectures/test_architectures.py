"""The architectures themselves: repeatable, alive, trainable, exportable; else the tests that use them prove little."""

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

import tests.architectures
from tests.architectures import (
    ARCHITECTURES,
    TORCHVISION_MISSING,
    TORCHVISION_MODELS,
    TRANSFORMERS_MISSING,
    TRANSFORMERS_MODELS,
    Architecture,
    Inputs,
    arguments,
    in_float64,
    outputs,
    randomize,
)


def each(*architectures: Architecture) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("architecture", architectures, ids=[one.name for one in architectures])


each_own = each(*ARCHITECTURES)
each_of_all = each(*ARCHITECTURES, *TRANSFORMERS_MODELS, *TORCHVISION_MODELS)


def in_eval(architecture: Architecture) -> tuple[nn.Module, Inputs]:
    return architecture.build().double(), in_float64(architecture.inputs())


def loss_of(model: nn.Module, inputs: Inputs) -> torch.Tensor:
    return torch.stack([output.square().mean() for output in outputs(model, inputs)]).sum()


@each_of_all
def test_is_the_same_at_every_call(architecture: Architecture) -> None:
    model, inputs = in_eval(architecture)
    with torch.no_grad():
        first, second = outputs(model, inputs), outputs(model, inputs)
        rebuilt = outputs(*in_eval(architecture))
    assert first
    for expected, again, other in zip(first, second, rebuilt, strict=True):
        assert bool(expected.isfinite().all())
        assert torch.equal(expected, again)
        assert torch.equal(expected, other)


@each_of_all
def test_outputs_show_what_happens_to_inputs_and_parameters(architecture: Architecture) -> None:
    model, inputs = in_eval(architecture)
    with torch.no_grad():
        results = outputs(model, inputs)
    for output in results:
        assert len(output) == 2
        assert float((output[0] - output[1]).abs().max()) > 1e-3, "the two samples should have different outputs"
        assert 1e-3 < float(output.abs().max()) < 2e3
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss_of(model, inputs), parameters)  # fails where one is not used at all
    moving = sum(int((gradient.abs() > 1e-9).sum()) for gradient in gradients)
    assert moving > sum(parameter.numel() for parameter in parameters) / 2


@each_of_all
def test_no_parameter_is_neutral(architecture: Architecture) -> None:
    for name, parameter in architecture.build().named_parameters():
        assert float(parameter.detach().abs().max()) > 1e-2, name
        assert parameter.numel() == 1 or float(parameter.detach().std()) > 1e-3, name


@each_of_all
def test_trains(architecture: Architecture) -> None:
    torch.manual_seed(0)  # dropout
    model, inputs = architecture.build().train(), architecture.inputs()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    loss_of(model, inputs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
    optimizer.step()
    moved = [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2
    assert bool(loss_of(model, inputs).isfinite())


@each_of_all
def test_exports(architecture: Architecture) -> None:
    model, inputs = in_eval(architecture)
    args, kwargs = arguments(inputs)
    program = torch.export.export(model, args, kwargs, strict=False)
    torch.testing.assert_close(outputs(program.module(), inputs), outputs(model, inputs), rtol=0, atol=1e-12)


@each_own
def test_exports_for_any_batch(architecture: Architecture) -> None:
    model, inputs = in_eval(architecture)
    args, kwargs = arguments(inputs)
    batch = {0: torch.export.Dim("batch")}
    shapes = {name: batch for name in kwargs} or tuple(batch for _ in args)
    program = torch.export.export(model, args, kwargs, dynamic_shapes=shapes, strict=False)
    four = pytree.tree_map(lambda tensor: torch.cat([tensor, tensor]), inputs)
    torch.testing.assert_close(outputs(program.module(), four), outputs(model, four), rtol=0, atol=1e-12)


@each_of_all
def test_is_importable_by_its_name(architecture: Architecture) -> None:
    model, inputs = getattr(tests.architectures, architecture.name)()
    args, kwargs = arguments(inputs)
    assert isinstance(model, nn.Module)
    assert not model.training
    assert all(len(tensor) == 2 for tensor in (*args, *kwargs.values()))


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(tests.architectures, "no_such_network")


@pytest.mark.parametrize(
    ("models", "missing"),
    [(TRANSFORMERS_MODELS, TRANSFORMERS_MISSING), (TORCHVISION_MODELS, TORCHVISION_MISSING)],
    ids=["transformers", "torchvision"],
)
def test_models_of_an_installed_package_are_there(models: tuple[Architecture, ...], missing: str | None) -> None:
    if missing:
        assert models == ()
        pytest.skip(missing)
    assert len(models) > 10


def test_randomize_depends_on_its_seed_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        return torch.cat([value.flatten() for value in randomize(nn.BatchNorm1d(8), seed).state_dict().values()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))
