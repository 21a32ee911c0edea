#include "weighted_normal.h"
#include "work_items.h"

namespace netsculpt {
namespace {

Tensor weighted_normal(const Tensor& x, const Tensor& q, const Tensor& v) {
  Tensor out;
  const WeightedNormalArgs a = weighted_normal_args(x, q, v, &out);
  const WeightedNormalPlan plan = weighted_normal_plan(a);
  if (plan.items == 0 || a.width == 0) return out;
  const WorkerScratch packed(1, plan.packed_bytes), partial(1, plan.partial_bytes);
  for_items(plan.panels, 0, [&](int64_t panel, void*) { weighted_normal_pack(a, plan, panel, packed.of(0)); });
  for_items(plan.items, plan.scratch_bytes, [&](int64_t item, void* scratch) {
    weighted_normal_cpu(a, plan, item, packed.of(0), scratch, partial.of(0));
  });
  for_items(a.groups * a.units, 0, [&](int64_t k, void*) { weighted_normal_finish(a, plan, k, partial.of(0)); });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) { m.impl("weighted_normal", TORCH_BOX(&weighted_normal)); }

}  // namespace netsculpt
