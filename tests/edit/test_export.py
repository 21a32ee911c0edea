"""An edited model is an ordinary model: it compiles, and exports to torch's and to ONNX's programs."""

import logging

import pytest
import torch

from netsculpt.edit import Plan, Split, apply, magnitude, uniform_pruning
from netsculpt.graph import Graph, trace
from netsculpt.graph.verify import difference, outputs_of
from tests import architectures


def edited(name: str) -> tuple[torch.nn.Module, Graph]:
    model, inputs = getattr(architectures, name)()
    graph = trace(model, inputs)
    apply(uniform_pruning(graph, magnitude(model, graph), pruning_ratio=0.4), model, graph=graph)
    apply(Plan.of(graph, [Split(axis.name, 0) for axis in graph.sculptable]), model, graph=graph)
    return model, graph


@pytest.mark.parametrize("name", ["resnet_basic", "mobilenet_v3", "vit", "gpt2", "lstm_tagger"])
def test_torch_export(name: str) -> None:
    model, graph = edited(name)
    program = torch.export.export(model, graph.inputs.args, graph.inputs.kwargs, strict=False)
    assert difference(outputs_of(model, graph.inputs), outputs_of(program.module(), graph.inputs)) < 1e-5


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["resnet_basic", "gpt2", "lstm_tagger"])
def test_onnx(name: str) -> None:
    pytest.importorskip("onnxscript", reason="pip install onnx onnxscript")
    model, graph = edited(name)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    program = torch.onnx.export(model, graph.inputs.args, kwargs=graph.inputs.kwargs, dynamo=True, verbose=False)
    assert program is not None
    answers = [torch.as_tensor(each) for each in program.call_reference(*graph.inputs.args, **graph.inputs.kwargs)]
    assert difference(outputs_of(model, graph.inputs), answers) < 1e-4
