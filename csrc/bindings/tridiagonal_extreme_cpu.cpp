#include "tridiagonal_extreme.h"
#include "work_items.h"

namespace netsculpt {
namespace {

constexpr int64_t kGroup = 16;  // matrices side by side in a vector: work is handed out in whole groups

std::tuple<Tensor, Tensor> tridiagonal_extreme(const Tensor& alpha, const Tensor& beta) {
  const TridiagonalExtremeCall call = tridiagonal_extreme_call(alpha, beta);
  const int64_t count = call.args.count;
  for_items(ceil_div(count, kGroup), tridiagonal_extreme_scratch(call.args.size), [&](int64_t g, void* scratch) {
    tridiagonal_extreme_cpu(call.args, g * kGroup, std::min(count, (g + 1) * kGroup), scratch);
  });
  return {call.values, call.vectors};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) { m.impl("tridiagonal_extreme", TORCH_BOX(&tridiagonal_extreme)); }

}  // namespace netsculpt
