// tridiagonal_extreme_body on a team of threads: a Python module (NS_PYBIND), or a ThreadSanitizer program.
#include "../../csrc/kernels/tridiagonal_extreme.h"

#include "harness.h"

using namespace netsculpt;

namespace {

std::vector<double> solve(const double* alpha, const double* beta, int64_t count, int64_t k, int team_size,
                          std::vector<double>* vectors) {
  std::vector<double> values(2 * count), scratch(8 * k);
  vectors->resize(2 * count * k);
  const TridiagonalExtremeArgs args{alpha, beta, values.data(), vectors->data(), k, k - 1, count, k, Dtype::kFloat64};
  run_team(team_size, [&](const ThreadTeam& team) {
    for (int64_t m = 0; m < count; ++m) NS_TARGET::tridiagonal_extreme_body(team, args, m, scratch.data());
  });
  return values;
}

}  // namespace

#ifdef NS_PYBIND
PYBIND11_MODULE(tridiagonal_extreme_body, m) {
  m.def("run", [](Array alpha, Array beta, int team_size) {
    const int64_t count = alpha.shape(0), k = alpha.shape(1);
    std::vector<double> vectors;
    const std::vector<double> values = solve(alpha.data(), beta.data(), count, k, team_size, &vectors);
    return pybind11::make_tuple(to_array(values, {count, 2}), to_array(vectors, {count, 2, k}));
  });
}
#else
int main() {
  const std::vector<double> alpha = normal(3 * 11, 1), beta = normal(3 * 10, 2);
  return same_for_all_teams("tridiagonal_extreme", [&](int size) {
    std::vector<double> vectors;
    return solve(alpha.data(), beta.data(), 3, 11, size, &vectors);
  });
}
#endif
