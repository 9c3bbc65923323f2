// NodeMemory: what a node of a test takes from the kernel, to be kept for the next one: taking it
// anew lasts longer than most of what such a node does.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/base/uring.h"

namespace millrace::core {

class NodeMemory {
 public:
  struct OfCore {
    std::unique_ptr<base::Arena> arena;
    std::unique_ptr<base::Uring> uring;
  };

  // The arena is empty and all zeros. Whoever had it before is gone.
  OfCore& of_core(std::size_t core, std::uint64_t arena_bytes) {
    if (core >= cores_.size()) cores_.resize(core + 1);
    OfCore& memory = cores_[core];
    if (memory.arena != nullptr && memory.arena->whole().size() >= arena_bytes) {
      memory.arena->clear();
    } else {
      memory.arena = std::make_unique<base::Arena>(
          std::move(base::Arena::create({.bytes = arena_bytes, .huge_pages = false}).value()));
    }
    if (memory.uring == nullptr) memory.uring = std::move(base::Uring::create(64).value());
    return memory;
  }
  void give_back() { cores_.clear(); }

 private:
  std::vector<OfCore> cores_;
};

}  // namespace millrace::core
