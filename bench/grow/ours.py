"""netsculpt's statistics and initial values, and a plain forward and backward pass of the same network."""

import torch
from torch import Tensor

import netsculpt as ns
from bench.grow.child import Found, serve, timed
from bench.grow.layer import Layer, loss, network
from netsculpt.measure import Statistics, measure
from netsculpt.methods.growing.initial import NewUnits, gradmax, tiny
from netsculpt.methods.growing.initial.cross import cross
from netsculpt.methods.growing.initial.places import place

AXIS = "0"


def grown(layer: Layer, dtype: torch.dtype, repeats: int) -> tuple[Found, dict[str, Tensor]]:
    model, x, target = network(layer, dtype)
    graph = ns.trace(model, x)
    now: list[Statistics] = []

    def fresh() -> None:
        now[:] = [measure(model, graph, [(x, target)], loss, for_="split")]

    def statistics(wanted: bool) -> None:
        where = place(now[0], AXIS)
        cross(now[0], where, where.uses(where.body.responses()), second=wanted, projected=wanted)

    def plain() -> None:
        model.zero_grad()
        loss(model(x), target).backward()

    found: Found = {"plain": timed(4 * repeats, plain)}
    for name, wanted in (("gradmax", False), ("tiny", True)):
        found[name] = {"statistics": timed(repeats, lambda wanted=wanted: statistics(wanted), fresh)}
    statistics(True)
    found["gradmax"]["solve"] = timed(repeats, lambda: gradmax(now[0], AXIS, layer.new))
    found["tiny"]["solve"] = timed(repeats, lambda: tiny(now[0], AXIS, layer.new))
    return found, _rows("gradmax", gradmax(now[0], AXIS, layer.new)) | _rows("tiny", tiny(now[0], AXIS, layer.new))


def _rows(name: str, new: NewUnits) -> dict[str, Tensor]:
    incoming = torch.cat([new.slices["0.weight"], new.slices["0.bias"]], 1)
    return {f"{name} in": incoming, f"{name} out": new.slices["2.weight"]}


if __name__ == "__main__":
    serve(grown)
