// gram_tile_body on a team of threads, tile by tile: a Python module (NS_PYBIND), or a ThreadSanitizer program.
#include "../../csrc/kernels/weighted_gram.h"

#include "harness.h"

using namespace netsculpt;

namespace {

constexpr int kSide = NS_TARGET::kGramSide, kUnits = NS_TARGET::kGramUnits, kEntries = kSide * kSide;

struct Sizes {
  int64_t rows, groups, width, units;
};

WeightedGramArgs args_of(const double* x, const double* q, const Sizes& s) {
  WeightedGramArgs a{};
  a.x = x;
  a.q = q;
  a.rows = s.rows, a.groups = s.groups, a.units = s.units, a.width = s.width;
  a.x_row = s.groups * s.width, a.x_group = s.width, a.x_col = 1;
  a.q_row = s.groups * s.units, a.q_group = s.units, a.q_col = 1;
  a.dtype = a.out_dtype = Dtype::kFloat64;
  return a;
}

// The body of one tile; kPer depends on the team, as the launcher's does on the block.
template <int kPer>
void run_tile(int team_size, const WeightedGramArgs& a, const NS_TARGET::GramTile& tile, double* scratch,
              double* sums) {
  run_team(team_size, [&](const ThreadTeam& team) {
    NS_TARGET::gram_tile_body<double, double, kPer>(team, a, tile, scratch, sums);
  });
}

void store_tile(const WeightedGramArgs& a, const NS_TARGET::GramTile& t, const double* sums, double* out) {
  for (int64_t u = t.unit; u < std::min(a.units, t.unit + kUnits); ++u) {
    double* matrix = out + (t.group * a.units + u) * a.width * a.width;
    for (int64_t i = t.i; i < std::min(a.width, t.i + kSide); ++i)
      for (int64_t j = t.j; j < std::min(a.width, t.j + kSide); ++j)
        matrix[i * a.width + j] = matrix[j * a.width + i] = sums[(u - t.unit) * kEntries + (i - t.i) * kSide + j - t.j];
  }
}

std::vector<double> run(const double* x, const double* q, const Sizes& s, int team_size) {
  const WeightedGramArgs a = args_of(x, q, s);
  std::vector<double> out(s.groups * s.units * s.width * s.width);
  std::vector<double> scratch(NS_TARGET::kGramScratch), sums(kUnits * kEntries);
  for (int64_t g = 0; g < s.groups; ++g)
    for (int64_t u = 0; u < s.units; u += kUnits)
      for (int64_t j = 0; j < s.width; j += kSide)
        for (int64_t i = 0; i <= j; i += kSide) {
          const NS_TARGET::GramTile tile{g, u, i, j, 0, s.rows};
          if (team_size == 1) run_tile<kEntries>(1, a, tile, scratch.data(), sums.data());
          if (team_size == 2) run_tile<kEntries / 2>(2, a, tile, scratch.data(), sums.data());
          if (team_size == 7) run_tile<kEntries / 7 + 1>(7, a, tile, scratch.data(), sums.data());
          if (team_size == 32) run_tile<kEntries / 32>(32, a, tile, scratch.data(), sums.data());
          store_tile(a, tile, sums.data(), out.data());
        }
  return out;
}

}  // namespace

#ifdef NS_PYBIND
PYBIND11_MODULE(weighted_gram_body, m) {
  m.def("run", [](Array x, Array q, int team_size) {
    const Sizes s{x.shape(0), x.shape(1), x.shape(2), q.shape(2)};
    return to_array(run(x.data(), q.data(), s, team_size), {s.groups, s.units, s.width, s.width});
  });
}
#else
int main() {
  const Sizes s{45, 2, 18, 17};
  const std::vector<double> x = normal(s.rows * s.groups * s.width, 1), q = normal(s.rows * s.groups * s.units, 2);
  return same_for_all_teams("weighted_gram", [&](int size) { return run(x.data(), q.data(), s, size); }, 0);
}
#endif
