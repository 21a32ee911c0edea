#include "eigh_extreme.h"
#include "work_items.h"

namespace netsculpt {
namespace {

// The matrices that did not reach the tolerance, once more in float64.
void repeat_in_float64(const EighExtremeArgs& args) {
  std::vector<int64_t> again;
  for (int64_t m = 0; m < args.count; ++m)
    if (args.status[m] == kNotConverged) again.push_back(m);
  const int64_t doubles = eigh_float64_scratch(args.size);
  for_items(static_cast<int64_t>(again.size()), doubles * static_cast<int64_t>(sizeof(double)),
            [&](int64_t i, void* scratch) { eigh_extreme_float64_cpu(args, again[i], scratch); });
}

std::tuple<Tensor, Tensor, Tensor> eigh_extreme(const Tensor& s, const std::string& which, double tol) {
  EighExtremeCall call = eigh_extreme_call(s, which, tol);
  EighExtremeArgs& args = call.args;
  std::vector<int32_t> status(static_cast<size_t>(args.count), kConverged);
  args.status = status.data();
  const int64_t group = eigh_extreme_group(args);
  for_items(ceil_div(args.count, group), eigh_extreme_scratch(args), [&](int64_t g, void* scratch) {
    eigh_extreme_cpu(args, g * group, std::min(args.count, (g + 1) * group), scratch);
  });
  repeat_in_float64(args);
  check_status(status, tol);
  return {call.values, call.vectors, call.residuals};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) { m.impl("eigh_extreme", TORCH_BOX(&eigh_extreme)); }

}  // namespace netsculpt
