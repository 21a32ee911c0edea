"""Every op in plain torch, computed in float64: slow, and obviously right.

A reference has the op's own signature, so it also stands in for the op where no compiled library can be loaded. An
overload ``op.out`` is the function ``op__out``.
"""

from netsculpt.reference.coupled_gram import coupled_gram
