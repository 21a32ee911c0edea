"""Edited models are models like any other: torch exports, compiles, copies and pickles them."""

from __future__ import annotations

import copy
import logging
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from netsculpt.edit import InsertLayer, Plan, Prune, RemoveLayer, Split, Widen, apply, magnitude, uniform_pruning
from netsculpt.graph import Graph, trace
from netsculpt.graph.verify import difference, outputs_of
from tests import architectures
from tests.edit.models import IMAGES, ROWS, Attention, Chain, Images, answers, edited, made

CASES = [Chain, Attention, Images]


def sculpted(kind: type[nn.Module]) -> tuple[nn.Module, Tensor]:
    """Everything edited at once, then layers inserted and, where there is a norm, removed."""
    model, graph = made(kind)
    edits = []
    for axis in graph.sculptable:
        edits += [Prune(axis.name, range(0, axis.size, 2)), Split(axis.name, 0, (0.7, 0.6, -0.3)), Widen(axis.name, 1)]
    edited(model, graph, *edits)
    first = "conv1" if kind is Images else "first" if kind is Chain else "start"
    width = graph[first].size
    layer = nn.Conv2d(width, width, 1) if kind is Images else nn.Linear(width, width)
    edited(model, graph, InsertLayer(first, layer.double(), exact=False))
    if kind is Images:
        edited(model, graph, RemoveLayer("bn"))
    return model.eval(), IMAGES if kind is Images else ROWS


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("strict", [True, False])
def test_torch_export(kind: type[nn.Module], strict: bool) -> None:
    model, x = sculpted(kind)
    program = torch.export.export(model, (x,), strict=strict)
    torch.testing.assert_close(program.module()(x), answers(model, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", CASES)
def test_torch_compile(kind: type[nn.Module]) -> None:
    model, x = sculpted(kind)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(answers(compiled, x), answers(model, x), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", CASES)
def test_onnx(kind: type[nn.Module], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    reference = pytest.importorskip("onnx.reference")
    model, x = sculpted(kind)
    x, path = x.float(), str(tmp_path / "model.onnx")
    torch.onnx.export(model.float(), (x,), path, dynamo=True, verbose=False)
    evaluator = reference.ReferenceEvaluator(path)
    (answer,) = evaluator.run(None, {evaluator.input_names[0]: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(answer), answers(model, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", CASES)
def test_copies_and_pickles(kind: type[nn.Module]) -> None:
    model, x = sculpted(kind)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(answers(other, x), answers(model, x))
        assert not {id(parameter) for parameter in other.parameters()} & {id(each) for each in model.parameters()}


def pruned_and_copied(name: str) -> tuple[nn.Module, Graph]:
    model, inputs = getattr(architectures, name)()
    graph = trace(model, inputs)
    apply(uniform_pruning(graph, magnitude(model, graph), pruning_ratio=0.4), model, graph=graph)
    apply(Plan.of(graph, [Split(axis.name, 0) for axis in graph.sculptable]), model, graph=graph)
    return model, graph


@pytest.mark.parametrize("name", ["resnet_basic", "mobilenet_v3", "vit", "gpt2", "lstm_tagger"])
def test_torch_export_of_architectures(name: str) -> None:
    model, graph = pruned_and_copied(name)
    program = torch.export.export(model, graph.inputs.args, graph.inputs.kwargs, strict=False)
    assert difference(outputs_of(model, graph.inputs), outputs_of(program.module(), graph.inputs)) < 1e-5


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["resnet_basic", "gpt2", "lstm_tagger"])
def test_onnx_of_architectures(name: str) -> None:
    pytest.importorskip("onnxscript", reason="pip install onnx onnxscript")
    model, graph = pruned_and_copied(name)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    program = torch.onnx.export(model, graph.inputs.args, kwargs=graph.inputs.kwargs, dynamo=True, verbose=False)
    assert program is not None
    said = [torch.as_tensor(each) for each in program.call_reference(*graph.inputs.args, **graph.inputs.kwargs)]
    assert difference(outputs_of(model, graph.inputs), said) < 1e-4


def test_a_model_that_was_compiled_before_answers_as_edited() -> None:
    model, graph = made(Chain)
    compiled = torch.compile(model, backend="eager")
    answers(compiled)
    edited(compiled, graph, Prune("first", [0, 2]))
    assert model.first.out_features == 2
    torch.testing.assert_close(answers(compiled), answers(model), rtol=0, atol=1e-12)
