"""Recurrent layers as torch exports them: one operation for all layers and directions, or one cell."""

from __future__ import annotations

from collections.abc import Sequence

from netsculpt.graph.call import Call
from netsculpt.graph.facts import Role, Value
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import Term, concat, leaf, product

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


@rule("lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input")
def recurrent(call: Call) -> list[Value]:
    """x [n, t, in] or [t, n, in]; every layer's hidden units are one axis, since the module has one hidden_size."""
    gates = GATES[call.name]
    state = call["hx"] if isinstance(call["hx"], (list, tuple)) else [call["hx"]]
    directions = 2 if call["bidirectional"] else 1
    per_cell = 4 if call["has_biases"] else 2
    weights: Sequence[Value] = call["params"]
    hidden = leaf(state[0].dims[-1].size)
    if len(weights) != per_cell * directions * call["num_layers"]:
        return _refuse(call, weights)
    for each in state:
        call.equate(each.dims[-1], hidden)
    x = call["input"]
    below: Term = x.dims[-1]
    cells = [weights[start : start + per_cell] for start in range(0, len(weights), per_cell)]
    steps = x.dims[:-1]
    call.freeze(steps[1 if call["batch_first"] and len(steps) > 1 else 0], f"{call.name} runs along it")
    for layer in range(call["num_layers"]):
        for cell in cells[layer * directions : (layer + 1) * directions]:
            _cell(call, cell, below, hidden, gates, x if layer == 0 else Value(()))
            call.macs((*steps, cell[0].dims[0], below))
            call.macs((*steps, cell[0].dims[0], hidden))
        below = concat([hidden] * directions)
    call.asks_size(hidden)
    outputs = [Value((*x.dims[:-1], below))]
    # torch 2.10 gives the states of an LSTM one dimension too many when it traces.
    before = [
        each.dims[:-1] if len(each.dims) == len(shape) else tuple(map(call.position, shape[:-1]))
        for each, shape in zip(state, call.shapes[1:], strict=True)
    ]
    return outputs + [Value((*dims, hidden)) for dims in before]


@rule("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def one_cell(call: Call) -> Value | list[Value]:
    """x [n, in], hidden [n, h]."""
    gates = GATES[call.name.removesuffix("_cell")]
    state = call["hx"] if isinstance(call["hx"], (list, tuple)) else [call["hx"]]
    hidden = state[0].dims[-1]
    for each in state[1:]:
        call.equate(each.dims, state[0].dims)
    cell = [call[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh") if call[name] is not None]
    x = call["input"]
    _cell(call, cell, x.dims[-1], hidden, gates, x)
    call.macs((*x.dims[:-1], cell[0].dims[0], x.dims[-1]))
    call.macs((*x.dims[:-1], cell[0].dims[0], hidden))
    outputs = [Value((*x.dims[:-1], hidden)) for _ in call.shapes]
    return outputs[0] if len(outputs) == 1 else outputs


def _cell(call: Call, cell: Sequence[Value], below: Term, hidden: Term, gates: int, x: Value) -> None:
    """Weights [gates × hidden, in] and [gates × hidden, hidden], biases [gates × hidden]."""
    rows = product((leaf(gates, frozen="gates"), hidden))
    for tensor in cell:
        call.equate(tensor.dims[0], rows)
    from_below, from_hidden = cell[:2]
    call.equate(from_below.dims[1], below)
    call.equate(from_hidden.dims[1], hidden)
    for weight, operand in ((from_below, x), (from_hidden, Value(()))):
        call.consumes(weight, 1, operand)
        call.role(weight, 0, Role.PRODUCER)


def _refuse(call: Call, weights: Sequence[Value]) -> list[Value]:
    for value in (*weights, *call.values()):
        call.freeze(value.dims, "a recurrent layer with projections is not analysed")
    return [Value(tuple(map(call.position, shape))) for shape in call.shapes]
