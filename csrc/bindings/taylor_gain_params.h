#pragma once

#include "../kernels/taylor_gain_params.h"
#include "taylor_view.h"

namespace netsculpt {

// Checks the lists and describes each entry; an oddly laid out gradient or parameter is copied.
inline std::vector<TaylorTensors> taylor_gain_params_tensors(const std::vector<Tensor>& params,
                                                             const std::vector<Tensor>& grads,
                                                             const std::vector<int64_t>& dims) {
  const char* op = "taylor_gain_params";
  check(!params.empty(), op, ": params must hold at least one tensor");
  check(grads.size() == params.size() && dims.size() == params.size(), op,
        ": params, grads and dims must have one length");
  std::vector<TaylorTensors> entries;
  for (size_t i = 0; i < params.size(); ++i) {
    const Tensor &param = params[i], &grad = grads[i];
    const Dtype dtype = dtype_of(param, op, "every parameter");
    check(grad.scalar_type() == param.scalar_type(), op, ": grads[", i, "] must have the dtype of its parameter");
    check(grad.dim() == param.dim(), op, ": grads[", i, "] must have the shape of its parameter");
    for (int64_t d = 0; d < param.dim(); ++d)
      check(grad.size(d) == param.size(d), op, ": grads[", i, "] must have the shape of its parameter");
    check(grad.device() == params[0].device() && param.device() == params[0].device(), op,
          ": params and grads must be on one device");
    check(dims[i] >= 0 && dims[i] < param.dim(), op, ": dims[", i, "] must be a dimension of its parameter");
    check(param.size(dims[i]) == params[0].size(dims[0]), op, ": params[", i,
          "] must have as many channels as params[0]");
    entries.push_back(taylor_tensors(param, grad, false, dims[i], dtype));
  }
  return entries;
}

}  // namespace netsculpt
