#include "weighted_gram.h"
#include "work_items.h"

namespace netsculpt {
namespace {

void run(const WeightedGramArgs& a) {
  const WeightedGramPlan plan = weighted_gram_plan(a);
  const WorkerScratch partial(1, plan.partial_bytes);
  void* const chunks = plan.chunks > 1 ? partial.of(0) : nullptr;
  for_items(plan.items, plan.scratch_bytes,
            [&](int64_t item, void* scratch) { weighted_gram_cpu(a, plan, item, scratch, chunks); });
  for_items(plan.pairs == 0 ? 0 : a.groups * a.units, 0,
            [&](int64_t k, void*) { weighted_gram_finish(a, plan, k, chunks); });
}

Tensor weighted_gram(const Tensor& x, const Tensor& q) {
  WeightedGramArgs args = weighted_gram_args(x, q);
  const Tensor out = new_gram(x, &args);
  run(args);
  return out;
}

void weighted_gram_out(const Tensor& x, const Tensor& q, bool accumulate, const Tensor& out) {
  WeightedGramArgs args = weighted_gram_args(x, q);
  use_gram(x, out, accumulate, &args);
  run(args);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) {
  m.impl("weighted_gram", TORCH_BOX(&weighted_gram));
  m.impl("weighted_gram.out", TORCH_BOX(&weighted_gram_out));
}

}  // namespace netsculpt
