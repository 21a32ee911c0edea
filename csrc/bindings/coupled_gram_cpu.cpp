#include "coupled_gram.h"

namespace netsculpt {
namespace {

Tensor coupled_gram(const Tensor& cov_in, const Tensor& weights_in, int64_t places) {
  const Tensor cov = rows_contiguous(cov_in), weights = rows_contiguous(weights_in);
  Tensor out;
  const CoupledGramArgs args = coupled_gram_args(cov, weights, places, &out);
  // Row i costs i + 1 blocks: worker w takes rows w, w + workers, ... so that all finish together.
  const int64_t workers = std::min<int64_t>(args.units, torch::stable::get_num_threads());
  std::vector<double> rows(static_cast<size_t>(workers * args.units));
  for_workers(workers, [&](int64_t w) {
    for (int64_t i = w; i < args.units; i += workers) coupled_gram_cpu(args, i, i + 1, rows.data() + w * args.units);
  });
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(netsculpt, CPU, m) { m.impl("coupled_gram", TORCH_BOX(&coupled_gram)); }

}  // namespace netsculpt
