#pragma once

#include "../kernels/tridiagonal_extreme.h"
#include "common.h"

namespace netsculpt {

struct TridiagonalExtremeCall {
  Tensor alpha, beta, values, vectors;
  TridiagonalExtremeArgs args;
};

// Checks the arguments and describes the call; the results are allocated but not filled.
inline TridiagonalExtremeCall tridiagonal_extreme_call(const Tensor& alpha_in, const Tensor& beta_in) {
  const char* op = "tridiagonal_extreme";
  const Dtype dtype = full_dtype_of(alpha_in, op, "alpha");
  check(full_dtype_of(beta_in, op, "beta") == dtype, op, ": alpha and beta must have one dtype");
  check_device(beta_in, alpha_in, op, "beta");
  check(alpha_in.dim() == 2 && alpha_in.size(1) >= 1, op, ": alpha must be [m, k] with k >= 1");
  const int64_t m = alpha_in.size(0), k = alpha_in.size(1);
  check(beta_in.dim() == 2 && beta_in.size(0) == m && beta_in.size(1) == k - 1, op, ": beta must be [m, k - 1]");
  TridiagonalExtremeCall call;
  call.alpha = rows_contiguous(alpha_in);
  call.beta = rows_contiguous(beta_in);
  call.values = new_tensor(alpha_in, {m, 2}, alpha_in.scalar_type());
  call.vectors = new_tensor(alpha_in, {m, 2, k}, alpha_in.scalar_type());
  call.args = {call.alpha.data_ptr(),
               call.beta.data_ptr(),
               call.values.data_ptr(),
               call.vectors.data_ptr(),
               call.alpha.stride(0),
               call.beta.stride(0),
               m,
               k,
               dtype};
  return call;
}

}  // namespace netsculpt
