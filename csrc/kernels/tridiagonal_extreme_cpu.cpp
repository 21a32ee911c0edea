#include "core/target.h"
// target.h first: it sets the instruction set
#include "core/vec_lanes.h"
#include "tridiagonal_extreme.h"

namespace netsculpt::NS_TARGET {
namespace {

// kLanes matrices side by side; lanes beyond the end hold zero matrices.
template <class T, int kLanes>
void tridiagonal_group(const TridiagonalExtremeArgs& a, int64_t begin, int64_t end, Vec<T, kLanes>* scratch) {
  using V = Vec<T, kLanes>;
  const int64_t k = a.size;
  V *alpha = scratch, *beta = alpha + k, *y = beta + k, *work = y + k;
  double scale[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    const bool used = begin + lane < end;
    const T* alpha_in = static_cast<const T*>(a.alpha) + (begin + lane) * a.alpha_stride;
    const T* beta_in = static_cast<const T*>(a.beta) + (begin + lane) * a.beta_stride;
    scale[lane] = used ? unit_scale(largest_entry(alpha_in, beta_in, k)) : 1.0;
    for (int64_t i = 0; i < k; ++i) {
      alpha[i][lane] = used ? static_cast<T>(scale[lane] * alpha_in[i]) : T(0);
      beta[i][lane] = used && i + 1 < k ? static_cast<T>(scale[lane] * beta_in[i]) : T(0);
    }
  }
  V low{}, high{}, norm{}, values[kEnds];
  gershgorin(alpha, beta, k, &low, &high, &norm);
  bisect_extreme(alpha, beta, k, values);
  for (int e = 0; e < kEnds; ++e) {
    inverse_iteration(alpha, beta, k, values[e], norm, y, work);
    for (int64_t m = begin; m < end; ++m) {
      const int lane = static_cast<int>(m - begin);
      static_cast<T*>(a.values)[m * kEnds + e] = static_cast<T>(values[e][lane] / scale[lane]);
      T* out = static_cast<T*>(a.vectors) + (m * kEnds + e) * k;
      for (int64_t i = 0; i < k; ++i) out[i] = y[i][lane];
    }
  }
}

}  // namespace

void tridiagonal_extreme_cpu(const TridiagonalExtremeArgs& a, int64_t begin, int64_t end, void* scratch) {
  if (a.dtype == Dtype::kFloat64) {
    for (int64_t m = begin; m < end; m += 8)
      tridiagonal_group<double, 8>(a, m, std::min(end, m + 8), static_cast<Vec<double, 8>*>(scratch));
  } else {
    for (int64_t m = begin; m < end; m += 16)
      tridiagonal_group<float, 16>(a, m, std::min(end, m + 16), static_cast<Vec<float, 16>*>(scratch));
  }
}

}  // namespace netsculpt::NS_TARGET
