"""The ops: one file each, a thin checked wrapper over ``torch.ops.netsculpt``."""

from netsculpt.ops.coupled_gram import coupled_gram
