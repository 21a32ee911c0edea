#pragma once

#include "../kernels/lanczos_update.h"
#include "common.h"

namespace netsculpt {

struct LanczosUpdateCall {
  Tensor basis, r, alpha, beta, next;
  LanczosUpdateArgs args;
};

// Checks the arguments and describes the call; the results are allocated but not filled.
inline LanczosUpdateCall lanczos_update_call(const Tensor& basis_in, const Tensor& r_in) {
  const char* op = "lanczos_update";
  const Dtype dtype = full_dtype_of(basis_in, op, "basis");
  check(full_dtype_of(r_in, op, "r") == dtype, op, ": basis and r must have one dtype");
  check_device(basis_in, r_in, op, "basis");
  check(basis_in.dim() == 3 && basis_in.size(1) >= 1, op, ": basis must be [m, k, d] with k >= 1");
  const int64_t m = basis_in.size(0), k = basis_in.size(1), d = basis_in.size(2);
  check(r_in.dim() == 2 && r_in.size(0) == m && r_in.size(1) == d, op, ": r must be [m, d]");
  LanczosUpdateCall call;
  call.basis = rows_contiguous(basis_in);
  call.r = rows_contiguous(r_in);
  call.alpha = new_tensor(r_in, {m}, r_in.scalar_type());
  call.beta = new_tensor(r_in, {m}, r_in.scalar_type());
  call.next = new_tensor(r_in, {m, d}, r_in.scalar_type());
  call.args = {call.basis.data_ptr(),
               call.r.data_ptr(),
               call.alpha.data_ptr(),
               call.beta.data_ptr(),
               call.next.data_ptr(),
               call.basis.stride(0),
               call.basis.stride(1),
               call.r.stride(0),
               m,
               k,
               d,
               dtype};
  return call;
}

}  // namespace netsculpt
