#include "core/target.h"
// target.h first: it sets the instruction set
#include "eigh_extreme.h"
#include "eigh_lanczos.h"

namespace netsculpt::NS_TARGET {
namespace {

// Up to this size the direct method runs on a vector of matrices, one per lane: its steps are the same for all, and it
// takes the same time whatever the spectrum. Above, the lanes no longer fit the second-level cache and Lanczos wins.
constexpr int64_t kLanesUpTo = 112;

// Matrices [begin, end), at most one per lane; unused and non-finite ones are zero.
template <class T>
void eigh_lanes(const EighExtremeArgs& a, int64_t begin, int64_t end, void* memory) {
  using V = Line<T>;
  constexpr int kW = kLineWidth<T>;
  const int64_t d = a.size, row = eigh_row_length(d);
  V* lanes = static_cast<V*>(memory);
  const EighScratch<V> w(lanes, d);
  double* pair = reinterpret_cast<double*>(lanes + eigh_direct_scratch(d));
  MatrixScale scaled[kW];
  for (int64_t i = 0; i < d * row; ++i) w.matrix[i] = V{};
  for (int64_t m = begin; m < end; ++m) {
    const int lane = static_cast<int>(m - begin);
    const T* s = static_cast<const T*>(a.s) + m * a.matrix_stride;
    scaled[lane] = find_scale(SerialTeam{}, s, a.row_stride, d);
    a.status[m] = scaled[lane].finite ? kConverged : kNotFinite;
    if (!scaled[lane].finite) continue;
    for (int64_t i = 0; i < d; ++i)
      for (int64_t j = 0; j <= i; ++j)
        w.matrix[i * row + j][lane] = static_cast<T>(scaled[lane].scale * static_cast<double>(s[i * a.row_stride + j]));
  }
  tridiagonalize(SerialTeam{}, w, d);
  V low{}, high{}, bound{}, values[kEnds];
  gershgorin(w.alpha, w.beta, d, &low, &high, &bound);
  bisect_extreme(w.alpha, w.beta, d, values);
  const V norm = larger(absolute(values[0]), absolute(values[1]));
  for (int e = a.first_end; e < a.first_end + a.ends; ++e) {
    V* y = w.vectors + e * d;
    inverse_iteration(w.alpha, w.beta, d, values[e], bound, y, w.work);
    apply_reflections(SerialTeam{}, w, d, y);
    for (int64_t m = begin; m < end; ++m) {
      const int lane = static_cast<int>(m - begin);
      if (!scaled[lane].finite) continue;
      for (int64_t i = 0; i < d; ++i) pair[i] = static_cast<double>(y[i][lane]);
      if (!finish_pair<T>(SerialTeam{}, a, m, e, scaled[lane].scale, static_cast<double>(norm[lane]), pair, pair + d))
        a.status[m] = kNotConverged;
    }
  }
}

template <class T>
void eigh_of_type(const EighExtremeArgs& a, int64_t begin, int64_t end, void* scratch) {
  if (a.size <= kLanesUpTo) {
    for (int64_t m = begin; m < end; m += kLineWidth<T>) eigh_lanes<T>(a, m, std::min(end, m + kLineWidth<T>), scratch);
  } else {
    for (int64_t m = begin; m < end; ++m) eigh_lanczos<T>(a, m, static_cast<char*>(scratch));
  }
}

template <class T>
int64_t scratch_of_type(int64_t d) {
  if (d <= kLanesUpTo) return eigh_direct_scratch(d) * 64 + 2 * d * static_cast<int64_t>(sizeof(double));
  return LanczosScratch<T>{}.lay_out(nullptr, d);
}

}  // namespace

void eigh_extreme_cpu(const EighExtremeArgs& a, int64_t begin, int64_t end, void* scratch) {
  if (a.dtype == Dtype::kFloat64)
    eigh_of_type<double>(a, begin, end, scratch);
  else
    eigh_of_type<float>(a, begin, end, scratch);
}

void eigh_extreme_float64_cpu(const EighExtremeArgs& a, int64_t m, void* scratch) {
  double* direct = static_cast<double*>(scratch);
  double* pair = direct + eigh_direct_scratch(a.size);
  if (a.dtype == Dtype::kFloat64)
    eigh_extreme_body<double>(SerialTeam{}, a, m, direct, pair);
  else
    eigh_extreme_body<float>(SerialTeam{}, a, m, direct, pair);
}

int64_t eigh_extreme_group(const EighExtremeArgs& a) {
  if (a.size > kLanesUpTo) return 1;
  return a.dtype == Dtype::kFloat64 ? kLineWidth<double> : kLineWidth<float>;
}

int64_t eigh_extreme_scratch(const EighExtremeArgs& a) {
  return a.dtype == Dtype::kFloat64 ? scratch_of_type<double>(a.size) : scratch_of_type<float>(a.size);
}

}  // namespace netsculpt::NS_TARGET
