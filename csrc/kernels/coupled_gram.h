// coupled_gram: K_ij = sum over places p, q of cov[(i,p),(j,q)] * weights[(i,p),(j,q)].
#pragma once

#include "core/dtype.h"
#include "core/simd_level.h"
#include "core/team.h"

namespace netsculpt {

// Both inputs are symmetric; only their lower block triangle is read. Strides are in elements.
struct CoupledGramArgs {
  const void* cov;                     // [units * places, units * places]
  const void* weights;                 // the same shape
  void* out;                           // [units, units], contiguous, of the inputs' type
  int64_t cov_stride, weights_stride;  // between rows; columns are contiguous
  int64_t units, places;
  Dtype dtype;  // float32 or float64
};

namespace NS_TARGET {

// Row `i` of the result up to the diagonal, and its mirror image. One rank owns an entry, so no two
// ranks write the same place.
template <class T, class Team>
NS_HD void coupled_gram_body(const Team& team, const CoupledGramArgs& a, int64_t i) {
  const T* cov = static_cast<const T*>(a.cov);
  const T* weights = static_cast<const T*>(a.weights);
  T* out = static_cast<T*>(a.out);
  for (int64_t j = team.rank(); j <= i; j += team.size()) {
    double total = 0;
    for (int64_t p = 0; p < a.places; ++p) {
      const T* c = cov + (i * a.places + p) * a.cov_stride + j * a.places;
      const T* w = weights + (i * a.places + p) * a.weights_stride + j * a.places;
      for (int64_t q = 0; q < a.places; ++q) total += static_cast<double>(c[q]) * static_cast<double>(w[q]);
    }
    out[i * a.units + j] = static_cast<T>(total);
    out[j * a.units + i] = static_cast<T>(total);
  }
}

}  // namespace NS_TARGET
}  // namespace netsculpt

// Rows [begin, end) of the result; `row` is scratch of `units` doubles.
NS_DECLARE_CPU(void, coupled_gram_cpu, (const CoupledGramArgs& a, int64_t begin, int64_t end, double* row),
               (a, begin, end, row))
