#include "core/target.h"
// target.h first: it sets the instruction set
#include "core/tiling.h"
#include "weighted_normal.h"

// Two matrix products a tile of rows, while it is in cache: y = (x v^T) q, then out += y^T x. The copy of x
// that the tile makes is laid out for both: panels of a few vectors of columns, all rows of the tile in each.
namespace netsculpt::NS_TARGET {
namespace {

constexpr int64_t kRowTile = 128;            // rows: a panel of x and a slice of y fit the first-level cache
constexpr int64_t kWideRow = 512;            // from this width on, half of them
constexpr int64_t kBlockBytes = 512 * 1024;  // v, and out, of a tile of units stay in the second-level cache
constexpr int64_t kLeastUnits = 64;          // but never fewer: each value of x serves all of them
constexpr int64_t kItems = 16;               // enough for the threads of a large machine
constexpr int64_t kChunkTiles = 4;           // fewest row tiles worth a chunk of their own
constexpr int64_t kGroups = 16;              // groups of a tile: neighbours share cache lines of x

struct Item {
  int64_t chunk, group, groups, unit, units;
  int64_t begin, end;  // rows
};

Item item_of(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t item) {
  Item t;
  take_tile(&item, a.units, plan.unit_tile, &t.unit, &t.units);
  take_tile(&item, a.groups, plan.group_tile, &t.group, &t.groups);
  t.chunk = item;
  t.begin = item * plan.chunk_rows;
  t.end = std::min(a.rows, t.begin + plan.chunk_rows);
  return t;
}

// Panels of v that cover one tile of units, and the packed panel where one group's tile starts.
NS_HD int64_t unit_panels(const WeightedNormalPlan& plan) { return ceil_div(plan.unit_tile, plan.unit_panel); }
NS_HD int64_t first_panel(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t group, int64_t unit) {
  return (group * ceil_div(a.units, plan.unit_tile) + unit / plan.unit_tile) * unit_panels(plan);
}

// Scratch of one worker: the tile of x in panels, y and q with rows of y_row.
template <class T>
struct Scratch {
  int64_t y_row, x_size, y_size;

  Scratch(const WeightedNormalArgs& a, const WeightedNormalPlan& plan)
      : y_row(padded<T>(unit_panels(plan) * plan.unit_panel)),
        x_size(plan.row_tile * round_up(a.width, plan.x_panel)),
        y_size(plan.row_tile * y_row) {}

  int64_t bytes() const { return (x_size + 2 * y_size) * sizeof(T); }
};

// x[p0 + p, :] into panels: panel, row, column; zero past the last column.
template <class S, class T>
void pack_x(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t group, int64_t p0, int64_t rows,
            T* NS_RESTRICT to) {
  const S* x = static_cast<const S*>(a.x) + p0 * a.x_row + group * a.x_group;
  for (int64_t c0 = 0; c0 < a.width; c0 += plan.x_panel, to += plan.row_tile * plan.x_panel) {
    const int64_t count = std::min(plan.x_panel, a.width - c0);
    for (int64_t p = 0; p < rows; ++p) {
      T* row = to + p * plan.x_panel;
      pack_row(x + p * a.x_row + c0 * a.x_col, a.x_col, count, row);
      for (int64_t c = count; c < plan.x_panel; ++c) row[c] = 0;
    }
  }
}

// q[p0 + p, units of the tile], zero past the last unit.
template <class S, class T>
void pack_q(const WeightedNormalArgs& a, const Item& t, int64_t group, int64_t p0, int64_t rows, int64_t columns,
            T* NS_RESTRICT to, int64_t to_row) {
  const S* q = static_cast<const S*>(a.q) + p0 * a.q_row + group * a.q_group + t.unit * a.q_col;
  for (int64_t p = 0; p < rows; ++p) {
    T* row = to + p * to_row;
    pack_row(q + p * a.q_row, a.q_col, t.units, row);
    for (int64_t u = t.units; u < columns; ++u) row[u] = 0;
  }
}

// The rows that the next round packs: asked for while this round computes.
struct Ahead {
  const char* x;
  int64_t row_bytes, step_bytes, rows;

  NS_HD void ask(int64_t begin) const {
    for (int64_t p = begin; p < begin + kTileRows && p < rows; ++p)
      for (int64_t b = 0; b < row_bytes; b += 64) __builtin_prefetch(x + p * step_bytes + b, 0, 2);
  }
};

template <class S>
Ahead ahead_of(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, const Item& t, int64_t p, int64_t group) {
  if (++group == t.group + t.groups) group = t.group, p += plan.row_tile;
  const int64_t rows = a.x_col == 1 && p < t.end ? std::min(plan.row_tile, t.end - p) : 0;
  const S* x = static_cast<const S*>(a.x) + (rows ? p * a.x_row + group * a.x_group : 0);
  return {reinterpret_cast<const char*>(x), a.width * int64_t{sizeof(S)}, a.x_row * int64_t{sizeof(S)}, rows};
}

// The first product for one panel of units and all rows: y = q * (x v^T).
template <int kUnitVecs, int kColVecs, class T>
void weigh_panel(const T* x, int64_t x_panel_size, int64_t width, const T* v, const T* q, int64_t q_row, int64_t rows,
                 T* y, int64_t y_row, const Ahead& ahead) {
  constexpr int64_t kColumns = kColVecs * kWidth<T>, kUnits = kUnitVecs * kWidth<T>;
  for (int64_t p = 0; p < rows; p += kTileRows) {
    ahead.ask(p);
    for (int r = 0; r < kTileRows; ++r) __builtin_prefetch(q + (p + r) * q_row);
    for (int r = 0; r < kTileRows; ++r) __builtin_prefetch(q + (p + r) * q_row + kUnits - 1);
    RegisterTile<T, kTileRows, kUnitVecs> c{};
    const T* from = x + p * kColumns;
    for (int64_t k = 0; k < width; k += kColumns, from += x_panel_size)
      tile_add_product<kColumns>(c, from, 1, v + k * kUnits, kUnits, std::min(kColumns, width - k));
    NS_UNROLL
    for (int r = 0; r < kTileRows; ++r) {
      if (p + r >= rows) break;
      NS_UNROLL
      for (int u = 0; u < kUnitVecs; ++u)
        store_vec(y + (p + r) * y_row + u * kWidth<T>,
                  c.at[r][u] * load_vec<Register<T>>(q + (p + r) * q_row + u * kWidth<T>));
    }
  }
}

template <int kUnitVecs, class T>
void weigh_panel(int64_t col_vecs, const T* x, int64_t x_panel_size, int64_t width, const T* v, const T* q,
                 int64_t q_row, int64_t rows, T* y, int64_t y_row, const Ahead& ahead) {
  switch (col_vecs) {
    case 1: return weigh_panel<kUnitVecs, 1>(x, x_panel_size, width, v, q, q_row, rows, y, y_row, ahead);
    case 2: return weigh_panel<kUnitVecs, 2>(x, x_panel_size, width, v, q, q_row, rows, y, y_row, ahead);
    default: return weigh_panel<kUnitVecs, 3>(x, x_panel_size, width, v, q, q_row, rows, y, y_row, ahead);
  }
}

template <class T>
void weigh(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, const T* x, const T* v, const T* q,
           int64_t q_row, int64_t rows, T* y, int64_t y_row, Ahead ahead) {
  const int64_t size = plan.row_tile * plan.x_panel, vecs = plan.x_panel / kWidth<T>;
  for (int64_t i = 0; i < unit_panels(plan); ++i, v += plan.panel_size, q += plan.unit_panel, y += plan.unit_panel) {
    switch (plan.unit_panel / kWidth<T>) {
      case 1: weigh_panel<1>(vecs, x, size, a.width, v, q, q_row, rows, y, y_row, ahead); break;
      case 2: weigh_panel<2>(vecs, x, size, a.width, v, q, q_row, rows, y, y_row, ahead); break;
      default: weigh_panel<3>(vecs, x, size, a.width, v, q, q_row, rows, y, y_row, ahead);
    }
    ahead.rows = 0;  // once is enough
  }
}

// The second product for one panel of x and all units: out += y^T x.
template <int kVecs, class T>
void add_panel(const T* y, int64_t y_row, int64_t units, const T* x, int64_t x_row, int64_t rows, T* out,
               int64_t out_row) {
  int64_t u = 0;
  for (; u + kTileRows <= units; u += kTileRows)
    add_product<kTileRows, kVecs>(y + u, y_row, x, x_row, rows, out + u * out_row, out_row);
  if constexpr (kTileRows == 8)
    if (units - u >= 4) add_product<4, kVecs>(y + u, y_row, x, x_row, rows, out + u * out_row, out_row), u += 4;
  if (units - u >= 2) add_product<2, kVecs>(y + u, y_row, x, x_row, rows, out + u * out_row, out_row), u += 2;
  if (units - u >= 1) add_product<1, kVecs>(y + u, y_row, x, x_row, rows, out + u * out_row, out_row);
}

template <class T>
void add(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, const T* y, int64_t y_row, int64_t units,
         const T* x, int64_t rows, T* out) {
  for (int64_t c = 0; c < a.width; c += plan.x_panel, x += plan.row_tile * plan.x_panel, out += plan.x_panel) {
    switch (ceil_div(std::min(plan.x_panel, a.width - c), kWidth<T>)) {
      case 1: add_panel<1>(y, y_row, units, x, plan.x_panel, rows, out, plan.out_row); break;
      case 2: add_panel<2>(y, y_row, units, x, plan.x_panel, rows, out, plan.out_row); break;
      default: add_panel<3>(y, y_row, units, x, plan.x_panel, rows, out, plan.out_row);
    }
  }
}

template <class S, class T>
void normal_item(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t item, const T* packed, T* x,
                 T* partial) {
  const Scratch<T> s(a, plan);
  const Item t = item_of(a, plan, item);
  T *y = x + s.x_size, *q_copy = y + s.y_size;
  T* out = partial + ((t.chunk * a.groups + t.group) * a.units + t.unit) * plan.out_row;
  const int64_t columns = unit_panels(plan) * plan.unit_panel, out_group = a.units * plan.out_row;
  // q is read in place where a row of it is whole vectors.
  const bool in_place = sizeof(S) == sizeof(T) && a.q_col == 1 && t.units == columns;
  for (int64_t g = 0; g < t.groups; ++g) std::memset(out + g * out_group, 0, t.units * plan.out_row * sizeof(T));
  std::memset(x, 0, s.bytes());  // rows past the last one are computed and dropped: never slow denormals
  for (int64_t p = t.begin; p < t.end; p += plan.row_tile) {
    const int64_t rows = std::min(plan.row_tile, t.end - p);
    for (int64_t g = 0; g < t.groups; ++g) {
      const int64_t group = t.group + g;
      pack_x<S>(a, plan, group, p, rows, x);
      const T* q = static_cast<const T*>(a.q) + p * a.q_row + group * a.q_group + t.unit;
      if (!in_place) pack_q<S>(a, t, group, p, rows, columns, q_copy, s.y_row), q = q_copy;
      const T* v = packed + first_panel(a, plan, group, t.unit) * plan.panel_size;
      weigh(a, plan, x, v, q, in_place ? a.q_row : s.y_row, rows, y, s.y_row, ahead_of<S>(a, plan, t, p, group));
      add(a, plan, y, s.y_row, t.units, x, rows, out + g * out_group);
    }
  }
}

template <class T>
WeightedNormalPlan normal_plan(const WeightedNormalArgs& a) {
  WeightedNormalPlan plan{};
  const int64_t width = std::max<int64_t>(a.width, 1);
  plan.row_tile = a.width < kWideRow ? kRowTile : kRowTile / 2;
  plan.unit_tile =
      round_up(even_tile(a.units, std::max<int64_t>(kLeastUnits, kBlockBytes / sizeof(T) / width)), kWidth<T>);
  plan.unit_panel = panel_vectors(plan.unit_tile / kWidth<T>) * kWidth<T>;
  plan.x_panel = panel_vectors(ceil_div(width, kWidth<T>)) * kWidth<T>;
  plan.out_row = round_up(width, kWidth<T>);
  plan.group_tile = std::clamp<int64_t>(kBlockBytes / (plan.unit_tile * width * sizeof(T)), 1, kGroups);
  const int64_t unit_tiles = ceil_div(a.units, plan.unit_tile);
  const int64_t tiles = unit_tiles * ceil_div(a.groups, plan.group_tile);
  plan.chunks = 1;
  if (tiles > 0)
    plan.chunks = std::max<int64_t>(1, std::min(ceil_div(kItems, tiles), a.rows / (kChunkTiles * plan.row_tile)));
  plan.chunk_rows = std::max(plan.row_tile, round_up(ceil_div(a.rows, plan.chunks), plan.row_tile));
  plan.chunks = std::max<int64_t>(1, ceil_div(a.rows, plan.chunk_rows));
  plan.items = tiles * plan.chunks;
  plan.panels = a.groups * unit_tiles * unit_panels(plan);
  plan.panel_size = a.width * plan.unit_panel;
  plan.scratch_bytes = round_up(Scratch<T>(a, plan).bytes(), 64);
  plan.packed_bytes = plan.panels * plan.panel_size * sizeof(T);
  plan.partial_bytes = plan.chunks * a.groups * a.units * plan.out_row * sizeof(T);
  return plan;
}

// One panel of v: column, unit; zero past the last unit of the tile.
template <class V, class T>
void pack_v(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t panel, T* NS_RESTRICT to) {
  const int64_t panels = unit_panels(plan), tiles = ceil_div(a.units, plan.unit_tile);
  const int64_t tile = panel / panels % tiles, group = panel / panels / tiles;
  const int64_t end = std::min(a.units, (tile + 1) * plan.unit_tile);
  const int64_t first = tile * plan.unit_tile + panel % panels * plan.unit_panel;
  const V* v = static_cast<const V*>(a.v) + group * a.v_group + first * a.v_unit;
  for (int64_t c = 0; c < a.width; ++c, v += a.v_col)
    for (int64_t u = 0; u < plan.unit_panel; ++u)
      to[c * plan.unit_panel + u] = first + u < end ? widen<T>(v[u * a.v_unit]) : T(0);
}

template <class T>
void normal_finish(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t k, const T* partial) {
  T* out = static_cast<T*>(a.out) + k * a.width;
  const T* from = partial + k * plan.out_row;
  const int64_t step = a.groups * a.units * plan.out_row;
  for (int64_t c = 0; c < a.width; ++c) {
    double total = 0;
    for (int64_t chunk = 0; chunk < plan.chunks; ++chunk) total += static_cast<double>(from[chunk * step + c]);
    out[c] = static_cast<T>(total);
  }
}

}  // namespace

WeightedNormalPlan weighted_normal_plan(const WeightedNormalArgs& a) {
  return a.dtype == Dtype::kFloat64 ? normal_plan<double>(a) : normal_plan<float>(a);
}

void weighted_normal_pack(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t panel, void* packed) {
  for_dtype(a.v_dtype, [&](auto v) {
    using T = typename ComputeType<decltype(v)>::type;
    pack_v<decltype(v)>(a, plan, panel, static_cast<T*>(packed) + panel * plan.panel_size);
  });
}

void weighted_normal_cpu(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t item, const void* packed,
                         void* scratch, void* partial) {
  for_dtype(a.dtype, [&](auto s) {
    using T = typename ComputeType<decltype(s)>::type;
    normal_item<decltype(s)>(a, plan, item, static_cast<const T*>(packed), static_cast<T*>(scratch),
                             static_cast<T*>(partial));
  });
}

void weighted_normal_finish(const WeightedNormalArgs& a, const WeightedNormalPlan& plan, int64_t k,
                            const void* partial) {
  if (a.dtype == Dtype::kFloat64)
    normal_finish(a, plan, k, static_cast<const double*>(partial));
  else
    normal_finish(a, plan, k, static_cast<const float*>(partial));
}

}  // namespace netsculpt::NS_TARGET
