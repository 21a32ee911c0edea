// coupled_gram_body on a team of threads: a Python module (NS_PYBIND), or a ThreadSanitizer program.
#include "../../csrc/kernels/coupled_gram.h"

#include "harness.h"

using namespace netsculpt;

namespace {

std::vector<double> run(const double* cov, const double* weights, int64_t units, int64_t places, int team_size) {
  std::vector<double> out(units * units);
  const int64_t stride = units * places;
  const CoupledGramArgs args{cov, weights, out.data(), stride, stride, units, places, Dtype::kFloat64};
  run_team(team_size, [&](const ThreadTeam& team) {
    for (int64_t i = 0; i < units; ++i) NS_TARGET::coupled_gram_body<double>(team, args, i);
  });
  return out;
}

}  // namespace

#ifdef NS_PYBIND
PYBIND11_MODULE(coupled_gram_body, m) {
  m.def("run", [](Array cov, Array weights, int64_t places, int team_size) {
    const int64_t units = cov.shape(0) / places;
    return to_array(run(cov.data(), weights.data(), units, places, team_size), {units, units});
  });
}
#else
int main() {
  const std::vector<double> cov = symmetric(35, 1), weights = symmetric(35, 2);
  return same_for_all_teams("coupled_gram", [&](int size) { return run(cov.data(), weights.data(), 7, 5, size); });
}
#endif
