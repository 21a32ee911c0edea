#include "scratch.h"
#include "tridiagonal_extreme.h"

namespace netsculpt {
namespace {

constexpr int64_t kGroup = 16;  // matrices side by side in a vector: work is handed out in whole groups

std::tuple<Tensor, Tensor> tridiagonal_extreme(const Tensor& alpha, const Tensor& beta) {
  const TridiagonalExtremeCall call = tridiagonal_extreme_call(alpha, beta);
  const int64_t count = call.args.count, groups = (count + kGroup - 1) / kGroup;
  const int64_t workers = std::min<int64_t>(groups, torch::stable::get_num_threads());
  WorkerScratch scratch(workers, tridiagonal_extreme_scratch(call.args.size));
  for_workers(workers, [&](int64_t w) {
    for (int64_t g = w; g < groups; g += workers)
      tridiagonal_extreme_cpu(call.args, g * kGroup, std::min(count, (g + 1) * kGroup), scratch.of(w));
  });
  return {call.values, call.vectors};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) { m.impl("tridiagonal_extreme", TORCH_BOX(&tridiagonal_extreme)); }

}  // namespace netsculpt
