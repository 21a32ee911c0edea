"""One route on one layer in a process of its own, so that its memory is its own: prints a line of JSON."""

import json
import resource
import sys

import torch

from bench.split.layers import LAYERS, body, measured
from bench.split.routes import ROUTES, exact


def main() -> None:
    name, route, limit = sys.argv[1], sys.argv[2], float(sys.argv[3])
    torch.set_num_threads(1)
    layer = LAYERS[name]
    try:
        if route == "exact":
            found = {"values": exact(layer).tolist()}
        else:
            (measured if route == "netsculpt" else body)(layer)  # the network's own memory is no part of it
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            found = dict(ROUTES[route](layer, limit))
            found["bytes"] = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    except NotImplementedError as error:
        found = {"error": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
