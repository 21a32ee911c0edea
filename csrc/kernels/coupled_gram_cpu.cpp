#include "core/target.h"
// target.h first: it sets the instruction set
#include "coupled_gram.h"

namespace netsculpt::NS_TARGET {
namespace {

constexpr int64_t kColumns = 1024;  // 8 KiB of float64 partial sums stay in the first-level cache

// The places of one unit are few and of any number, so vectorising over them wastes lanes. Here the
// products of a whole row are added over p with full vectors, and summed over q at the end.
template <class T>
void coupled_gram_row(const CoupledGramArgs& a, int64_t i, double* NS_RESTRICT row) {
  const int64_t columns = (i + 1) * a.places;
  for (int64_t j = 0; j <= i; ++j) row[j] = 0;
  double sums[kColumns];
  for (int64_t c0 = 0; c0 < columns; c0 += kColumns) {
    const int64_t count = std::min(kColumns, columns - c0);
    for (int64_t c = 0; c < count; ++c) sums[c] = 0;
    for (int64_t p = 0; p < a.places; ++p) {
      const int64_t r = i * a.places + p;
      const T* NS_RESTRICT cov = static_cast<const T*>(a.cov) + r * a.cov_stride + c0;
      const T* NS_RESTRICT weights = static_cast<const T*>(a.weights) + r * a.weights_stride + c0;
      for (int64_t c = 0; c < count; ++c) sums[c] += static_cast<double>(cov[c]) * static_cast<double>(weights[c]);
    }
    int64_t j = c0 / a.places, q = c0 % a.places;
    double total = 0;  // of one unit's places: a chunk of columns may begin and end inside a unit
    for (int64_t c = 0; c < count; ++c) {
      total += sums[c];
      if (++q < a.places && c + 1 < count) continue;
      row[j++] += total;
      total = 0, q = 0;
    }
  }
  T* out = static_cast<T*>(a.out);
  for (int64_t j = 0; j <= i; ++j) {
    out[i * a.units + j] = static_cast<T>(row[j]);
    out[j * a.units + i] = static_cast<T>(row[j]);
  }
}

}  // namespace

void coupled_gram_cpu(const CoupledGramArgs& a, int64_t begin, int64_t end, double* row) {
  for (int64_t i = begin; i < end; ++i) {
    if (a.dtype == Dtype::kFloat64)
      coupled_gram_row<double>(a, i, row);
    else
      coupled_gram_row<float>(a, i, row);
  }
}

}  // namespace netsculpt::NS_TARGET
