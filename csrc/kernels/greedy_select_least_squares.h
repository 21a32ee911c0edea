// greedy_select by orthogonal least squares: a pivoted Cholesky factor R of K + ridge I, grown by the unit
// that lowers the objective most.
//
// With the chosen units factored, unit j keeps a residual diagonal d_j and a residual correlation b_j, and
// choosing it lowers the objective by exactly b_j^2 / d_j. A new row of R is r_j = (K_ij - sum_s R_si R_sj) /
// sqrt(d_i); then d_j -= r_j^2 and b_j -= r_j b_i / sqrt(d_i).
//
// Rows are stored in the gram's type, everything else is float64. That is accurate enough because d and b are
// updated with the row as stored and later rows subtract it as stored: the factor is the exact one of a gram
// matrix whose entries K_ij moved by at most eps/2 * sqrt(d_i) |R_ij| <= eps/2 * sqrt(K_ii K_jj), once each,
// which is no more than rounding the gram matrix to its type has moved them already.
//
// A unit depends on the chosen ones when d_j may be nothing but rounding. That is floor_j: it starts at
// kGreedyIndependent * eps * d_j, and taking the multiple l = r_j / sqrt(d_i) of what is left of unit i from
// unit j hands rounding on, floor_j += l^2 floor_i. Without this growth, units of no substance of their own
// pass as independent at the end of a rank-deficient problem, with enormous weights.
#pragma once

#include "greedy_select_args.h"

namespace netsculpt::NS_TARGET {

// One problem's state: vectors over the units, and over the steps.
template <class T>
struct GreedyFactor {
  double *d, *b, *floor, *cost;  // d_j <= floor_j closes unit j; cost is null without costs
  double* column;                // R_si of the unit i chosen last
  double *pivot, *beta, *doubt;  // sqrt(d_i), b_i / sqrt(d_i) and floor_i / d_i of the unit i of each step
  NS_HD explicit GreedyFactor(const GreedyProblem<T>& p)
      : d(p.vector(0)),
        b(p.vector(1)),
        floor(p.vector(2)),
        cost(p.cost ? p.vector(3) : nullptr),
        column(p.step_vector(0)),
        pivot(p.step_vector(1)),
        beta(p.step_vector(2)),
        doubt(p.step_vector(3)) {}
};

template <class T>
NS_HD double greedy_epsilon() {
  return sizeof(T) == sizeof(double) ? 2.220446049250313e-16 : 1.1920928955078125e-07;
}

template <class T, class Team>
NS_HD void greedy_factor_start(const Team& team, const GreedyProblem<T>& p, double ridge, const GreedyFactor<T>& f) {
  for (int64_t j = team.rank(); j < p.padded; j += team.size()) {
    const bool real = j < p.n;
    f.d[j] = real ? p.diagonal[j] + ridge : 1;
    f.b[j] = real ? p.target[j] : 0;
    f.floor[j] = real ? kGreedyIndependent * greedy_epsilon<T>() * f.d[j] : greedy_infinity();
    if (f.cost) f.cost[j] = real ? p.cost[j] : 1;
  }
}

template <class T>
NS_HD double greedy_factor_value(const GreedyFactor<T>& f, int64_t j) {
  if (!(f.d[j] > f.floor[j])) return -greedy_infinity();
  const double gain = f.b[j] * f.b[j] / f.d[j];
  return f.cost ? gain / f.cost[j] : gain;
}

// Applies the unit i chosen in step `last` (none where last < 0) to every unit, and finds the best next one.
template <class T, class Team>
NS_HD Best greedy_factor_scan(const Team& team, const GreedyProblem<T>& p, const GreedyFactor<T>& f, int64_t last,
                              int64_t i) {
  Best best{0, -1};
  for (int64_t j = team.rank(); j < p.n; j += team.size()) {
    if (last >= 0) {
      double r = static_cast<double>(p.row(i)[j]);
      for (int64_t s = 0; s < last; ++s) r -= f.column[s] * static_cast<double>(p.rows[s * p.padded + j]);
      const T stored = static_cast<T>(r / f.pivot[last]);
      p.rows[last * p.padded + j] = stored;
      r = static_cast<double>(stored);
      f.d[j] -= r * r;
      f.b[j] -= r * f.beta[last];
      f.floor[j] += r * r * f.doubt[last];
    }
    best = greedy_consider(best, greedy_factor_value(f, j), j);
  }
  return best;
}

// weights = R^-1 beta, from the last unit chosen to the first. row(s, i) is R_si.
template <class T, class Team, class Row>
NS_HD void greedy_factor_solve(const Team& team, const GreedyProblem<T>& p, const GreedyFactor<T>& f, int64_t steps,
                               const Row& row) {
  for (int64_t s = steps - 1; s >= 0; --s) {
    const int64_t i = p.order[s];
    const double w = f.beta[s] / f.pivot[s];
    team.sync();  // beta: read by every rank, moved on below
    for (int64_t q = team.rank(); q < s; q += team.size()) f.beta[q] -= w * static_cast<double>(row(q, i));
    if (team.rank() == 0) p.weights[i] = static_cast<T>(w);
    team.sync();  // beta: entries moved on by their owners
  }
}

template <class T, class Team>
NS_HD void greedy_least_squares(const Team& team, const GreedySelectArgs& a, const GreedyProblem<T>& p) {
  const GreedyFactor<T> f(p);
  greedy_factor_start(team, p, a.ridge, f);
  double error = p.energy;
  int64_t step = 0, i = -1;
  for (bool done = false; step < p.k && !done;) {
    const Best chosen = team.best(greedy_factor_scan(team, p, f, step - 1, i));
    if (chosen.index < 0) break;
    i = chosen.index;
    const double pivot = sqrt(f.d[i]), beta = f.b[i] / pivot;
    for (int64_t s = team.rank(); s < step; s += team.size())
      f.column[s] = static_cast<double>(p.rows[s * p.padded + i]);
    if (team.rank() == 0) {
      f.pivot[step] = pivot;
      f.beta[step] = beta;
      f.doubt[step] = f.floor[i] / f.d[i];
      f.floor[i] = greedy_infinity();
    }
    error = greedy_clamp(error - beta * beta);
    done = greedy_record(team, p, a.tolerance, step++, i, error);
    team.sync();  // d, b: read by every rank, moved on by the next scan; column, pivot, beta, floor: written above
  }
  greedy_pad(team, p, step, error);
  greedy_factor_solve(team, p, f, step, [&](int64_t s, int64_t j) { return p.rows[s * p.padded + j]; });
}

}  // namespace netsculpt::NS_TARGET
