// greedy_select_body on a team of threads, and the CPU op's crew of threads: a Python module (NS_PYBIND), or a
// ThreadSanitizer program.
#define NS_TARGET baseline
#include "../../csrc/kernels/greedy_select_cpu.cpp"
#include "harness.h"

using namespace netsculpt;

namespace {

// One call with its memory: `batch` problems of `units` units, default target.
struct Call {
  std::vector<double> target, energy, diagonal, scratch, rows, weights, errors;
  std::vector<int64_t> order;
  std::vector<int32_t> status;
  std::vector<baseline::GreedyCrew> crews;
  GreedySelectArgs args{};

  Call(const double* gram, const double* cost, int64_t batch, int64_t units, int64_t k, int mode, bool repeats,
       double ridge)
      : target(batch * units),
        energy(batch),
        diagonal(batch * units),
        weights(batch * units),
        errors(batch * k),
        order(batch * k),
        status(batch),
        crews(1) {
    GreedySelectArgs& a = args;
    a.gram = gram, a.cost = cost, a.batch = batch, a.units = units, a.k = k, a.steps = std::min(k, units);
    a.padded = (units + kGreedyPad - 1) / kGreedyPad * kGreedyPad;
    a.padded_steps = (a.steps + kGreedyPad - 1) / kGreedyPad * kGreedyPad;
    a.gram_batch_stride = units * units, a.gram_stride = units;
    a.ridge = ridge, a.mode = static_cast<GreedyMode>(mode), a.repeats = repeats, a.dtype = Dtype::kFloat64;
    scratch.resize(kGreedyVectors * a.padded + kGreedyStepVectors * a.padded_steps);
    rows.resize(a.steps * a.padded);
    a.target = target.data(), a.energy = energy.data(), a.diagonal = diagonal.data();
    a.scratch = scratch.data(), a.rows = rows.data(), a.crews = crews.data();
    a.weights = weights.data(), a.errors = errors.data(), a.order = order.data(), a.status = status.data();
  }

  void by_team(int size) {
    run_team(size, [&](const ThreadTeam& team) {
      for (int64_t b = 0; b < args.batch; ++b) {
        for (int64_t i = 0; i < args.units; ++i) baseline::greedy_prepare_body<double>(team, args, b, i);
        team.sync();  // target, diagonal: written by rank 0
        baseline::for_greedy_mode(args.mode, [&](auto mode) {
          baseline::greedy_select_body<double, decltype(mode)::value>(team, args, b, 0);
        });
        team.sync();  // scratch may be reused
      }
    });
  }

  // As the binding does it, but with threads that come late and leave as they like.
  void by_crew(int size) {
    baseline::greedy_prepare_cpu(args, 0, args.batch * args.units);
    for (int64_t b = 0; b < args.batch; ++b) {
      if (!baseline::greedy_begin_cpu(args, b, 0, 4 * size)) continue;
      std::vector<std::thread> threads;
      for (int w = 0; w < size; ++w)
        threads.emplace_back([=, this] { baseline::greedy_join_cpu(args, b, 0, w, size); });
      for (std::thread& t : threads) t.join();
    }
  }

  // Orders, weights and errors, one after another.
  std::vector<double> answer() const {
    std::vector<double> all(order.begin(), order.end());
    all.insert(all.end(), weights.begin(), weights.end());
    all.insert(all.end(), errors.begin(), errors.end());
    return all;
  }
};

}  // namespace

#ifdef NS_PYBIND
PYBIND11_MODULE(greedy_select_body, m) {
  m.def("run", [](Array gram, std::optional<Array> cost, int64_t k, int mode, bool repeats, double ridge, int size,
                  bool crew) {
    const int64_t batch = gram.shape(0), units = gram.shape(1);
    Call call(gram.data(), cost ? cost->data() : nullptr, batch, units, k, mode, repeats, ridge);
    crew ? call.by_crew(size) : call.by_team(size);
    const std::vector<double> order(call.order.begin(), call.order.end());
    const std::vector<double> status(call.status.begin(), call.status.end());
    return std::make_tuple(to_array(order, {batch, k}), to_array(call.weights, {batch, units}),
                           to_array(call.errors, {batch, k}), to_array(status, {batch}));
  });
}
#else
int main() {
  const int64_t batch = 2, units = 150, k = 20;  // two panels
  std::vector<double> features = normal(batch * 200 * units, 3), gram(batch * units * units);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t n = 0; n < 200; ++n)
      for (int64_t i = 0; i < units; ++i)
        for (int64_t j = 0; j < units; ++j)
          gram[(b * units + i) * units + j] +=
              features[(b * 200 + n) * units + i] * features[(b * 200 + n) * units + j];
  int failed = 0;
  for (int mode = 0; mode < 3; ++mode) {
    for (bool crew : {false, true}) {
      if (crew && mode != 2) continue;
      failed += same_for_all_teams(crew ? "greedy_select crew" : "greedy_select", [&](int size) {
        Call call(gram.data(), nullptr, batch, units, k, mode, mode != 2, 0);
        crew ? call.by_crew(size) : call.by_team(size);
        return call.answer();
      });
    }
  }
  return failed;
}
#endif
