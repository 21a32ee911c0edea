"""Without the compiled library nothing but speed is lost: the same schemas, the same answers, and one warning."""

import json
from typing import Any

import pytest

import netsculpt
from tests.repository import OPS, run_python

HIDDEN = "import sys; sys.modules['netsculpt._C'] = None  # importing it now raises ImportError\n"
SCHEMAS = """
import json, warnings, torch
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import netsculpt
names = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("netsculpt::")]
schemas = {name: str(torch._C._get_schema(*(name.split(".") + [""])[:2])) for name in names}
messages = [str(w.message) for w in caught if w.category is RuntimeWarning]
print(json.dumps({"info": netsculpt.build_info(), "warnings": messages, "schemas": schemas}))
"""
# Every op on the samples of its own tests: bit for bit the reference, so it was the reference that answered.
ANSWERS = """
import importlib, pathlib, warnings
import torch
from torch.utils import _pytree as pytree
warnings.simplefilter("ignore")
from netsculpt import reference
from tests.ops.conformance import OpConformance

for file in sorted(pathlib.Path("tests/ops").glob("test_*.py")):
    importlib.import_module(f"tests.ops.{file.stem}")
checked = set()
for case in OpConformance.__subclasses__():
    schema = case.packet._schema
    name = "__".join(part for part in (schema.name.removeprefix("netsculpt::"), schema.overload_name) if part)
    for args in case().samples("cpu"):
        ours, expected = (pytree.tree_leaves(f(*args)) for f in (case.packet, getattr(reference, name)))
        for a, b in zip(ours, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    checked.add(schema.name.removeprefix("netsculpt::"))
print(" ".join(sorted(checked)))
"""


@pytest.fixture(scope="module")
def without() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_python(HIDDEN + SCHEMAS))
    return found


def test_one_warning(without: dict[str, Any]) -> None:
    (message,) = without["warnings"]
    assert message.startswith("netsculpt: the compiled library could not be loaded")
    assert message.endswith("same results, much slower")


def test_build_info_says_so(without: dict[str, Any]) -> None:
    assert without["info"]["cpu_library"] != "loaded"
    assert without["info"]["simd"] == "none"


def test_the_same_schemas(without: dict[str, Any]) -> None:
    if netsculpt.build_info()["cpu_library"] != "loaded":
        pytest.skip("no compiled library to compare with")
    compiled = json.loads(run_python(SCHEMAS))
    assert compiled["warnings"] == []
    assert without["schemas"] == compiled["schemas"]


def test_every_op_answers() -> None:
    assert run_python(HIDDEN + ANSWERS).split() == OPS
