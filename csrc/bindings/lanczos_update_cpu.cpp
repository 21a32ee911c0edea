#include "lanczos_update.h"

namespace netsculpt {
namespace {

std::tuple<Tensor, Tensor, Tensor> lanczos_update(const Tensor& basis, const Tensor& r) {
  const LanczosUpdateCall call = lanczos_update_call(basis, r);
  constexpr int64_t kWorth = 1 << 15;  // entries of the basis that pay for waking another thread
  const int64_t grain = 1 + kWorth / std::max<int64_t>(1, call.args.steps * call.args.size);
  torch::stable::parallel_for(0, call.args.count, grain,
                              [&](int64_t begin, int64_t end) { lanczos_update_cpu(call.args, begin, end); });
  return {call.alpha, call.beta, call.next};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) { m.impl("lanczos_update", TORCH_BOX(&lanczos_update)); }

}  // namespace netsculpt
