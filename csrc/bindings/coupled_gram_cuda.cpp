#include "../kernels/coupled_gram_cuda.h"

#include "coupled_gram.h"
#include "cuda_common.h"

namespace netsculpt {
namespace {

Tensor coupled_gram(const Tensor& cov_in, const Tensor& weights_in, int64_t places) {
  const DeviceGuard guard(cov_in.get_device_index());
  const Tensor cov = rows_contiguous(cov_in), weights = rows_contiguous(weights_in);
  Tensor out;
  const CoupledGramArgs args = coupled_gram_args(cov, weights, places, &out);
  check_launch(coupled_gram_launch(args, current_stream(cov)), "coupled_gram");
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CUDA, m) { m.impl("coupled_gram", TORCH_BOX(&coupled_gram)); }

}  // namespace netsculpt
