// How sizes are cut into tiles.
#pragma once

#include "dtype.h"
#include "register_tile.h"
#include "sizes.h"

namespace netsculpt::NS_TARGET {

// `size` cut into the fewest tiles of at most `most`, all nearly equal.
NS_HD int64_t even_tile(int64_t size, int64_t most) { return size == 0 ? 1 : ceil_div(size, ceil_div(size, most)); }

// Vectors to a panel when `vectors` of them are cut into panels of at most kTileVecs, all nearly equal.
NS_HD int64_t panel_vectors(int64_t vectors) { return even_tile(vectors, kTileVecs); }

// Room for a row of `columns` and one vector more, in an odd number of cache lines: the rows of a tile then
// spread over all sets of the cache.
template <class T>
NS_HD int64_t padded(int64_t columns) {
  constexpr int64_t kLine = 64 / sizeof(T);
  return (ceil_div(columns + kWidth<T>, kLine) | 1) * kLine;
}

// Takes the next mixed-radix digit of `item`: which tile of `size`.
NS_HD void take_tile(int64_t* item, int64_t size, int64_t tile, int64_t* first, int64_t* count) {
  const int64_t tiles = ceil_div(size, tile);
  *first = *item % tiles * tile;
  *count = tile < size - *first ? tile : size - *first;
  *item /= tiles;
}

// to[c] = from[c * step] for c < count, as T.
template <class T, class S>
NS_HD void pack_row(const S* NS_RESTRICT from, int64_t step, int64_t count, T* NS_RESTRICT to) {
  int64_t c = 0;
  if (step != 1) {
    for (; c < count; ++c) to[c] = widen<T>(from[c * step]);
    return;
  }
  // Two vectors a turn: from a loop over single ones GCC makes a call of memcpy, slow for rows as short as these.
  if constexpr (sizeof(S) == sizeof(T)) {
    const auto copy = [&](int64_t at) { store_vec(to + at, load_vec<Register<T>>(from + at)); };
    for (; c + 2 * kWidth<T> <= count; c += 2 * kWidth<T>) copy(c), copy(c + kWidth<T>);
    if (c + kWidth<T> <= count) copy(c), c += kWidth<T>;
    if (c > 0 && c < count) {
      copy(count - kWidth<T>);  // overlaps the one before
      return;
    }
  }
  for (; c < count; ++c) to[c] = widen<T>(from[c]);
}

}  // namespace netsculpt::NS_TARGET
