// Mesh: one SpscRing for every ordered pair of cores, so each ring has one producer and one
// consumer. Core:  made before the cores start; afterwards core A pushes to ring(A, x) and takes
// from ring(x, A).
// Owns:  nothing; the rings lie in the arenas of the cores that read them.
//
//              to 0    to 1    to 2
//   from 0  [       |   A   |       ]   row(1) is what core 1 reads: A, B and C, side by side in
//   from 1  [       |   B   |       ]   core 1's own arena, so that reading stays on its NUMA node.
//   from 2  [       |   C   |       ]
//
// The diagonal is there too: a core may queue work for itself by the same code.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/check.h"
#include "dataplane/base/ids.h"
#include "dataplane/ring/spsc_ring.h"

namespace millrace::ring {

template <typename T, std::uint32_t capacity_slots>
class Mesh {
 public:
  using Ring = SpscRing<T, capacity_slots>;

  static constexpr std::uint32_t cores_max = 64;

  // What each core's arena gives up; 128 is the alignment of a ring.
  static constexpr std::uint64_t arena_bytes(std::uint32_t core_count) {
    return core_count * sizeof(Ring) + 128;
  }

  // One arena per core, in the order of CoreId; the same arena may stand for several cores. They
  // outlive the mesh.
  explicit Mesh(std::span<base::Arena* const> arenas)
      : core_count_(static_cast<std::uint32_t>(arenas.size())) {
    CHECK(core_count_ > 0);
    CHECK(core_count_ <= cores_max);
    for (std::uint32_t to = 0; to < core_count_; ++to) {
      rows_[to] = arenas[to]->template allocate<Ring>(core_count_).data();
    }
  }

  std::uint32_t core_count() const { return core_count_; }

  Ring& ring(base::CoreId from, base::CoreId to) {
    DCHECK(base::raw(from) < core_count_);
    return row(to)[base::raw(from)];
  }

  // Everything core `to` reads, indexed by the sending core.
  std::span<Ring> row(base::CoreId to) {
    DCHECK(base::raw(to) < core_count_);
    return {rows_[base::raw(to)], core_count_};
  }

 private:
  std::uint32_t core_count_;
  std::array<Ring*, cores_max> rows_{};
};

}  // namespace millrace::ring
