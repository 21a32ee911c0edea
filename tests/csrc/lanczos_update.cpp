// lanczos_update_body on a team of threads: a Python module (NS_PYBIND), or a ThreadSanitizer program.
#include "../../csrc/kernels/lanczos_update.h"

#include "harness.h"

using namespace netsculpt;

namespace {

// alpha, beta and the next vectors, one after the other.
std::vector<double> step(const double* basis, const double* r, int64_t count, int64_t k, int64_t d, int team_size) {
  std::vector<double> out(count * (2 + d));
  double *alpha = out.data(), *beta = alpha + count, *next = beta + count;
  const LanczosUpdateArgs args{basis, r, alpha, beta, next, k * d, d, d, count, k, d, Dtype::kFloat64};
  run_team(team_size, [&](const ThreadTeam& team) {
    for (int64_t m = 0; m < count; ++m) NS_TARGET::lanczos_update_body<double>(team, args, m);
  });
  return out;
}

}  // namespace

#ifdef NS_PYBIND
PYBIND11_MODULE(lanczos_update_body, m) {
  m.def("run", [](Array basis, Array r, int team_size) {
    const int64_t count = basis.shape(0), k = basis.shape(1), d = basis.shape(2);
    return to_array(step(basis.data(), r.data(), count, k, d, team_size), {count * (2 + d)});
  });
}
#else
int main() {
  std::vector<double> basis(2 * 3 * 40, 0.0);  // rows of the identity
  for (int64_t m = 0; m < 2; ++m)
    for (int64_t b = 0; b < 3; ++b) basis[(m * 3 + b) * 40 + 5 * b + m] = 1;
  const std::vector<double> r = normal(2 * 40, 1);
  return same_for_all_teams("lanczos_update", [&](int size) { return step(basis.data(), r.data(), 2, 3, 40, size); });
}
#endif
