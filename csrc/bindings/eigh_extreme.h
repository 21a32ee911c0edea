#pragma once

#include "../kernels/eigh_extreme.h"
#include "common.h"

namespace netsculpt {

struct EighExtremeCall {
  Tensor s, values, vectors, residuals;
  EighExtremeArgs args;  // but for status, which lives where the device wants it
};

// Checks the arguments and describes the call; the results are allocated but not filled.
inline EighExtremeCall eigh_extreme_call(const Tensor& s_in, const std::string& which, double tol) {
  const char* op = "eigh_extreme";
  const Dtype dtype = full_dtype_of(s_in, op, "s");
  check(s_in.dim() == 3 && s_in.size(1) == s_in.size(2) && s_in.size(1) >= 1, op, ": s must be [m, d, d] with d >= 1");
  check(which == "both" || which == "lowest" || which == "highest", op, ": which must be both, lowest or highest, not ",
        which);
  const int64_t m = s_in.size(0), d = s_in.size(1);
  const int first_end = which == "highest" ? 1 : 0, ends = which == "both" ? 2 : 1;
  EighExtremeCall call;
  call.s = rows_contiguous(s_in);
  call.values = new_tensor(s_in, {m, ends}, s_in.scalar_type());
  call.vectors = new_tensor(s_in, {m, ends, d}, s_in.scalar_type());
  call.residuals = new_tensor(s_in, {m, ends}, s_in.scalar_type());
  call.args = {call.s.data_ptr(),
               call.values.data_ptr(),
               call.vectors.data_ptr(),
               call.residuals.data_ptr(),
               nullptr,
               call.s.stride(0),
               call.s.stride(1),
               m,
               d,
               first_end,
               ends,
               tol,
               dtype};
  return call;
}

// One sentence for the first matrix that could not be answered; `status` is on the host.
inline void check_status(const std::vector<int32_t>& status, double tol) {
  for (size_t m = 0; m < status.size(); ++m) {
    check(status[m] != kNotFinite, "eigh_extreme: matrix ", m, " has an entry that is NaN or infinite");
    check(status[m] == kConverged, "eigh_extreme: matrix ", m, " did not reach a residual of ", tol,
          ", not even by the direct method in float64");
  }
}

}  // namespace netsculpt
