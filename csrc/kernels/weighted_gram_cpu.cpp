#include "core/target.h"
// target.h first: it sets the instruction set
#include "core/register_tile.h"
#include "core/tiling.h"
#include "weighted_gram.h"

// With the pairs (i <= j) as columns, Z[p,(i,j)] = x_pi x_pj, all S_k are one matrix product q^T Z: half the
// work of whole matrices. Tiles of Z are formed in cache, a block of rows at a time.
namespace netsculpt::NS_TARGET {
namespace {

constexpr int64_t kDepth = 128;       // rows of a block: three vectors of each fit the first-level cache
constexpr int64_t kColumns = 192;     // columns of Z formed at once
constexpr int64_t kUnits = 128;       // units of a tile: each product x_i x_j serves all of them
constexpr int64_t kSums = 64 * 1024;  // sums of a tile stay in the second-level cache
constexpr int64_t kItems = 32;        // enough for the threads of a large machine
constexpr int64_t kChunk = 1024;      // fewest rows worth an item of their own
constexpr int64_t kGroups = 16;       // groups of a tile: neighbours share cache lines of x

// A place in the upper triangle, walked row by row.
struct Pair {
  int64_t i, j;
};

NS_HD Pair pair_at(int64_t index, int64_t width) {
  int64_t i = 0;
  while (index >= width - i) index -= width - i++;
  return {i, i + index};
}

// The part of one item that is the same for all its groups and blocks.
struct Item {
  int64_t chunk, group, groups, unit, units, pair, pairs;
  int64_t begin, end;  // rows
  Pair first;
};

Item item_of(const WeightedGramArgs& a, const WeightedGramPlan& plan, int64_t item) {
  Item t;
  take_tile(&item, plan.pairs, plan.pair_tile, &t.pair, &t.pairs);
  take_tile(&item, a.units, plan.unit_tile, &t.unit, &t.units);
  take_tile(&item, a.groups, plan.group_tile, &t.group, &t.groups);
  t.chunk = item;
  t.begin = item * plan.chunk_rows;
  t.end = std::min(a.rows, t.begin + plan.chunk_rows);
  t.first = pair_at(t.pair, a.width);
  return t;
}

// Scratch of one worker, carved from one allocation.
template <class T, class A>
struct Scratch {
  int64_t x_row, z_row, sum_row, sum_group;  // strides
  int64_t x_size, q_size, z_size, sum_size;

  Scratch(const WeightedGramArgs& a, const WeightedGramPlan& plan)
      : x_row(padded<T>(a.width)),
        z_row(padded<T>(std::min(plan.pair_tile, kColumns))),
        sum_row(round_up(plan.pair_tile, kWidth<T>)),
        sum_group(plan.unit_tile * sum_row),
        x_size(kDepth * x_row),
        q_size(kDepth * round_up(plan.unit_tile, kTileRows)),
        z_size(kDepth * z_row),
        sum_size(plan.group_tile * sum_group) {}

  int64_t bytes() const { return (x_size + q_size + z_size) * sizeof(T) + sum_size * sizeof(A); }
};

// x[p, column] for the rows of a block, as T.
template <class S, class T>
void pack_x(const WeightedGramArgs& a, int64_t group, int64_t p0, int64_t depth, int64_t first, T* NS_RESTRICT to,
            int64_t to_row) {
  for (int64_t p = 0; p < depth; ++p) {
    const S* from = static_cast<const S*>(a.x) + (p0 + p) * a.x_row + group * a.x_group;
    pack_row(from + first * a.x_col, a.x_col, a.width - first, to + p * to_row + first);
  }
}

// q[p, unit] in panels of kTileRows units: panel, row, unit.
template <class S, class T>
void pack_q(const WeightedGramArgs& a, const Item& t, int64_t group, int64_t p0, int64_t depth, T* NS_RESTRICT to) {
  const S* q = static_cast<const S*>(a.q) + p0 * a.q_row + group * a.q_group + t.unit * a.q_col;
  for (int64_t u = 0; u < t.units; u += kTileRows, to += kDepth * kTileRows) {
    const int64_t count = std::min<int64_t>(kTileRows, t.units - u);
    for (int64_t p = 0; p < depth; ++p) {
      const S* NS_RESTRICT from = q + p * a.q_row + u * a.q_col;
      if (count == kTileRows && a.q_col == 1)
        for (int r = 0; r < kTileRows; ++r) to[p * kTileRows + r] = widen<T>(from[r]);
      else
        for (int64_t r = 0; r < count; ++r) to[p * kTileRows + r] = widen<T>(from[r * a.q_col]);
    }
  }
}

// Columns [at, at + columns) of Z. Each run of j is stored in whole vectors; what it writes too much, the
// next run overwrites, and the last run leaves in the padding.
template <class T>
void form_z(const T* NS_RESTRICT x, int64_t x_row, int64_t width, Pair at, int64_t columns, int64_t depth,
            T* NS_RESTRICT z, int64_t z_row) {
  for (int64_t p = 0; p < depth; ++p, x += x_row, z += z_row) {
    int64_t i = at.i, j = at.j;
    for (int64_t t = 0; t < columns; j = ++i) {
      const int64_t count = std::min(width - j, columns - t);
      const Register<T> xi = x[i] - Register<T>{};
      for (int64_t c = 0; c < count; c += kWidth<T>) store_vec(z + t + c, xi * load_vec<Register<T>>(x + j + c));
      t += count;
    }
  }
}

// sums[unit, columns of one panel] += q^T z, for all units of the tile.
template <int kVecs, class T, class A>
void add_panel(const T* q, int64_t units, const T* z, int64_t z_row, int64_t depth, A* sums, int64_t sum_row) {
  int64_t u = 0;
  for (; u + kTileRows <= units; u += kTileRows, q += kDepth * kTileRows)
    add_product<kTileRows, kVecs>(q, kTileRows, z, z_row, depth, sums + u * sum_row, sum_row);
  if constexpr (kTileRows == 8)
    if (units - u >= 4)
      add_product<4, kVecs>(q, kTileRows, z, z_row, depth, sums + u * sum_row, sum_row), u += 4, q += 4;
  if (units - u >= 2) add_product<2, kVecs>(q, kTileRows, z, z_row, depth, sums + u * sum_row, sum_row), u += 2, q += 2;
  if (units - u >= 1) add_product<1, kVecs>(q, kTileRows, z, z_row, depth, sums + u * sum_row, sum_row);
}

template <class T, class A>
void add_columns(const T* q, int64_t units, const T* z, int64_t z_row, int64_t columns, int64_t depth, A* sums,
                 int64_t sum_row) {
  const int64_t vectors = ceil_div(columns, kWidth<T>), step = panel_vectors(vectors);
  for (int64_t v = 0; v < vectors; v += step, z += step * kWidth<T>, sums += step * kWidth<T>) {
    switch (std::min(step, vectors - v)) {
      case 1: add_panel<1>(q, units, z, z_row, depth, sums, sum_row); break;
      case 2: add_panel<2>(q, units, z, z_row, depth, sums, sum_row); break;
      default: add_panel<3>(q, units, z, z_row, depth, sums, sum_row);
    }
  }
}

// One block of rows of one group, added to the group's sums.
template <class S, class T, class A>
void add_block(const WeightedGramArgs& a, const Item& t, int64_t group, int64_t p0, const Scratch<T, A>& s, T* x, T* q,
               T* z, A* sums) {
  const int64_t depth = std::min(kDepth, t.end - p0);
  pack_q<S>(a, t, group, p0, depth, q);
  pack_x<S>(a, group, p0, depth, t.first.i, x, s.x_row);
  for (int64_t c = 0; c < t.pairs; c += kColumns) {
    const int64_t columns = std::min(kColumns, t.pairs - c);
    form_z(x, s.x_row, a.width, pair_at(t.pair + c, a.width), columns, depth, z, s.z_row);
    add_columns(q, t.units, z, s.z_row, columns, depth, sums + c, s.sum_row);
  }
}

// The sums of one unit into out's upper triangle.
template <class A>
void store_upper(const WeightedGramArgs& a, const Item& t, const A* NS_RESTRICT sums, A* NS_RESTRICT out) {
  Pair at = t.first;
  for (int64_t c = 0; c < t.pairs; at.j = ++at.i) {
    const int64_t count = std::min(a.width - at.j, t.pairs - c);
    A* NS_RESTRICT row = out + at.i * a.width + at.j;
    if (a.accumulate)
      for (int64_t k = 0; k < count; ++k) row[k] += sums[c + k];
    else
      for (int64_t k = 0; k < count; ++k) row[k] = sums[c + k];
    c += count;
  }
}

template <class S, class A>
void gram_item(const WeightedGramArgs& a, const WeightedGramPlan& plan, int64_t item, void* scratch, void* partial) {
  using T = typename ComputeType<S>::type;
  const Scratch<T, A> s(a, plan);
  const Item t = item_of(a, plan, item);
  A* sums = static_cast<A*>(scratch);
  T* z = reinterpret_cast<T*>(sums + s.sum_size);
  T *x = z + s.z_size, *q = x + s.x_size;
  // Lanes past the last column are computed and dropped: zeros there are never slow denormals.
  std::memset(scratch, 0, s.bytes());
  for (int64_t p = t.begin; p < t.end; p += kDepth)
    for (int64_t g = 0; g < t.groups; ++g) add_block<S>(a, t, t.group + g, p, s, x, q, z, sums + g * s.sum_group);
  for (int64_t g = 0; g < t.groups; ++g) {
    for (int64_t u = 0; u < t.units; ++u) {
      const int64_t k = (t.group + g) * a.units + t.unit + u;
      const A* from = sums + g * s.sum_group + u * s.sum_row;
      if (partial)
        std::memcpy(static_cast<A*>(partial) + (t.chunk * a.groups * a.units + k) * plan.pairs + t.pair, from,
                    t.pairs * sizeof(A));
      else
        store_upper(a, t, from, static_cast<A*>(a.out) + k * a.width * a.width);
    }
  }
}

// out's upper triangle (+)= the sum of the chunks, in their order.
template <class A>
void add_chunks(const WeightedGramArgs& a, const WeightedGramPlan& plan, int64_t k, const A* partial, A* out) {
  const int64_t step = a.groups * a.units * plan.pairs;
  const A* from = partial + k * plan.pairs;
  for (int64_t i = 0; i < a.width; from += a.width - i++) {
    for (int64_t j = i; j < a.width; ++j) {
      A total = 0;
      for (int64_t c = 0; c < plan.chunks; ++c) total += from[c * step + j - i];
      out[i * a.width + j] = a.accumulate ? out[i * a.width + j] + total : total;
    }
  }
}

// The lower triangle as the mirror image of the upper one, in blocks that both fit the first-level cache.
template <class A>
void mirror(int64_t width, A* out) {
  constexpr int64_t kBlock = 16;
  for (int64_t i0 = 0; i0 < width; i0 += kBlock)
    for (int64_t j0 = i0; j0 < width; j0 += kBlock)
      for (int64_t j = j0; j < std::min(j0 + kBlock, width); ++j)
        for (int64_t i = i0; i < std::min(i0 + kBlock, j); ++i) out[j * width + i] = out[i * width + j];
}

template <class A>
void gram_finish(const WeightedGramArgs& a, const WeightedGramPlan& plan, int64_t k, const void* partial) {
  A* out = static_cast<A*>(a.out) + k * a.width * a.width;
  if (partial) add_chunks(a, plan, k, static_cast<const A*>(partial), out);
  mirror(a.width, out);
}

template <class T, class A>
WeightedGramPlan gram_plan(const WeightedGramArgs& a) {
  WeightedGramPlan plan{};
  plan.pairs = a.width * (a.width + 1) / 2;
  plan.unit_tile = even_tile(a.units, kUnits);
  const int64_t most = std::max(kColumns, kSums / plan.unit_tile / kColumns * kColumns);
  plan.pair_tile = plan.pairs <= most ? std::max<int64_t>(plan.pairs, 1) : most;
  plan.group_tile = std::clamp<int64_t>(kSums / 4 / (plan.unit_tile * plan.pair_tile), 1, kGroups);
  plan.group_tile = std::min(plan.group_tile, std::max<int64_t>(a.groups, 1));
  const int64_t tiles =
      ceil_div(plan.pairs, plan.pair_tile) * ceil_div(a.units, plan.unit_tile) * ceil_div(a.groups, plan.group_tile);
  plan.chunks = 1;
  if (tiles > 0) plan.chunks = std::max<int64_t>(1, std::min(ceil_div(kItems, tiles), a.rows / kChunk));
  plan.chunk_rows = std::max(kDepth, round_up(ceil_div(a.rows, plan.chunks), kDepth));
  plan.chunks = std::max<int64_t>(1, ceil_div(a.rows, plan.chunk_rows));
  plan.items = tiles * plan.chunks;
  plan.scratch_bytes = round_up(Scratch<T, A>(a, plan).bytes(), 64);
  if (plan.chunks > 1) plan.partial_bytes = plan.chunks * a.groups * a.units * plan.pairs * sizeof(A);
  return plan;
}

// Calls f(storage type, result type) for the four inputs and two results that exist.
template <class F>
void for_types(const WeightedGramArgs& a, const F& f) {
  for_dtype(a.dtype, [&](auto s) {
    using S = decltype(s);
    if constexpr (sizeof(S) == sizeof(double))
      f(s, double{});
    else
      a.out_dtype == Dtype::kFloat64 ? f(s, double{}) : f(s, float{});
  });
}

}  // namespace

WeightedGramPlan weighted_gram_plan(const WeightedGramArgs& a) {
  WeightedGramPlan plan;
  for_types(a, [&](auto s, auto r) { plan = gram_plan<typename ComputeType<decltype(s)>::type, decltype(r)>(a); });
  return plan;
}

void weighted_gram_cpu(const WeightedGramArgs& a, const WeightedGramPlan& plan, int64_t item, void* scratch,
                       void* partial) {
  for_types(a, [&](auto s, auto r) { gram_item<decltype(s), decltype(r)>(a, plan, item, scratch, partial); });
}

void weighted_gram_finish(const WeightedGramArgs& a, const WeightedGramPlan& plan, int64_t k, const void* partial) {
  for_types(a, [&](auto, auto r) { gram_finish<decltype(r)>(a, plan, k, partial); });
}

}  // namespace netsculpt::NS_TARGET
