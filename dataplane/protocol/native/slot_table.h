// SlotTable<T>: up to N things, found by an id that a slot's next tenant does not share.
// Core:  the sessions'.
//
// T has a field `id`: index and generation (codec.h), 0 while the slot is free. Slots are used
// again in the order they were given back, so a generation comes round as late as possible. The
// first ones come from the seed, so that ids of the process before are not given out anew.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/arena.h"
#include "dataplane/base/check.h"
#include "dataplane/base/split_mix.h"
#include "dataplane/protocol/native/codec.h"

namespace millrace::native {

inline constexpr std::uint32_t no_slot = ~0U;

template <typename T>
class SlotTable {
 public:
  SlotTable(base::Arena& arena, std::uint32_t slots, std::uint64_t seed)
      : slots_(arena.allocate<T>(slots)),
        generations_(arena.allocate<std::uint16_t>(slots)),
        free_(arena.allocate<std::uint32_t>(slots)) {
    CHECK(slots >= 1 && slots <= 1U << 20);
    for (std::uint32_t i = 0; i < slots; ++i) {
      free_[i] = i;
      generations_[i] = static_cast<std::uint16_t>(base::split_mix(seed) % generation_count);
    }
  }
  static std::uint64_t arena_bytes(std::uint32_t slots) {
    return slots * (sizeof(T) + sizeof(std::uint16_t) + sizeof(std::uint32_t)) + 256;
  }

  // Null for an id that names nothing (any more).
  T* find(std::uint32_t id) {
    const std::uint32_t index = id_index(id);
    if (index >= slots_.size() || id == 0 || slots_[index].id != id) return nullptr;
    return &slots_[index];
  }
  T& at(std::uint32_t index) { return slots_[index]; }
  std::uint32_t index_of(const T& slot) const {
    return static_cast<std::uint32_t>(&slot - slots_.data());
  }

  // A fresh T with its id, or null when all are taken.
  T* take() {
    if (count_ == slots_.size()) return nullptr;
    const std::uint32_t index = free_[taken_++ % free_.size()];
    ++count_;
    generations_[index] = static_cast<std::uint16_t>(next_generation(generations_[index]));
    slots_[index] = T();
    slots_[index].id = make_id(index, generations_[index]);
    return &slots_[index];
  }
  void give_back(T& slot) {
    CHECK(slot.id != 0 && count_ > 0);
    slot.id = 0;
    free_[given_back_++ % free_.size()] = index_of(slot);
    --count_;
  }

  std::uint32_t count() const { return count_; }
  std::uint32_t capacity() const { return static_cast<std::uint32_t>(slots_.size()); }

 private:
  std::span<T> slots_;
  std::span<std::uint16_t> generations_;
  std::span<std::uint32_t> free_;  // a ring: read at taken_, written at given_back_
  std::uint64_t taken_ = 0;
  std::uint64_t given_back_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace millrace::native
