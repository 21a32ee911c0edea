#pragma once

#include "../kernels/coupled_gram.h"
#include "common.h"

namespace netsculpt {

// Checks the arguments and describes the call; the result is allocated but not filled.
inline CoupledGramArgs coupled_gram_args(const Tensor& cov, const Tensor& weights, int64_t places, Tensor* out) {
  const char* op = "coupled_gram";
  const Dtype dtype = full_dtype_of(cov, op, "cov");
  check(full_dtype_of(weights, op, "weights") == dtype, op, ": cov and weights must have one dtype");
  check_device(weights, cov, op, "weights");
  check(cov.dim() == 2 && cov.size(0) == cov.size(1), op, ": cov must be square");
  check(weights.dim() == 2 && weights.size(0) == cov.size(0) && weights.size(1) == cov.size(0), op,
        ": weights must have the shape of cov");
  check(places >= 1 && cov.size(0) % places == 0, op, ": places must divide the size of cov");
  const int64_t units = cov.size(0) / places;
  *out = new_tensor(cov, {units, units}, cov.scalar_type());
  return {cov.data_ptr(), weights.data_ptr(), out->data_ptr(), cov.stride(0), weights.stride(0), units, places, dtype};
}

}  // namespace netsculpt
