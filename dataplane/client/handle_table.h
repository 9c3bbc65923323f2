// HandleTable: from a handle that the node gave out to our object; open addressing, one probe in
// the usual case.
// Owns:  its slots; the objects are borrowed.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/base/check.h"

namespace millrace::client {

template <typename T>
class HandleTable {
 public:
  T* find(std::uint32_t handle) const {
    if (slots_.empty()) return nullptr;
    for (std::uint32_t i = place(handle);; i = (i + 1) & mask()) {
      if (slots_[i].handle == handle) return slots_[i].object;
      if (slots_[i].handle == empty) return nullptr;
    }
  }

  // The handle is not 0. A handle that is there already is replaced.
  void insert(std::uint32_t handle, T* object) {
    CHECK(handle != empty);
    if ((used_ + 1) * 2 > slots_.size()) grow();
    put(handle, object);
  }

  // Its slot is kept until the table is cleared or grows, so that later probes go on past it.
  void erase(std::uint32_t handle) {
    if (slots_.empty()) return;
    for (std::uint32_t i = place(handle); slots_[i].handle != empty; i = (i + 1) & mask())
      if (slots_[i].handle == handle) slots_[i].object = nullptr;
  }

  void clear() {
    for (Slot& slot : slots_) slot = Slot();
    used_ = 0;
  }

 private:
  static constexpr std::uint32_t empty = 0;
  struct Slot {
    std::uint32_t handle = empty;
    T* object = nullptr;
  };

  std::uint32_t mask() const { return static_cast<std::uint32_t>(slots_.size()) - 1; }
  // Handles count up from a table index in their low bits, so those alone spread well.
  std::uint32_t place(std::uint32_t handle) const { return handle & mask(); }

  void put(std::uint32_t handle, T* object) {
    std::uint32_t i = place(handle);
    while (slots_[i].handle != empty && slots_[i].handle != handle) i = (i + 1) & mask();
    if (slots_[i].handle == empty) ++used_;
    slots_[i] = {handle, object};
  }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : slots_.size() * 2);
    old.swap(slots_);
    used_ = 0;
    for (const Slot& slot : old)
      if (slot.object != nullptr) put(slot.handle, slot.object);
  }

  std::vector<Slot> slots_;
  std::uint32_t used_ = 0;
};

}  // namespace millrace::client
