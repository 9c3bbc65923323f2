#include "dataplane/base/alloc_guard.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <thread>

namespace millrace::base {
namespace {

// Calls the operator itself: a new-expression whose result is unused may be optimised away.
void allocate_and_free(std::size_t bytes) { ::operator delete(::operator new(bytes)); }

TEST(AllocGuardDeathTest, every_form_of_new_aborts_on_a_sealed_thread) {
  EXPECT_DEATH(
      {
        seal();
        allocate_and_free(40);
      },
      "operator new of 40 bytes on a sealed core");
  EXPECT_DEATH(
      {
        seal();
        ::operator delete[](::operator new[](41));
      },
      "operator new of 41 bytes on a sealed core");
  EXPECT_DEATH(
      {
        seal();
        ::operator delete(::operator new(42, std::nothrow));
      },
      "operator new of 42 bytes on a sealed core");
  EXPECT_DEATH(
      {
        seal();
        ::operator delete (::operator new (43, std::align_val_t{64}), std::align_val_t{64});
      },
      "operator new of 43 bytes on a sealed core");
}

TEST(AllocGuard, memory_from_before_the_seal_can_be_freed_after_it) {
  void* at = ::operator new(100);
  seal();
  ::operator delete(at);
  unseal();
  EXPECT_FALSE(is_sealed());
}

TEST(AllocGuard, an_unsealed_thread_allocates_again) {
  seal();
  EXPECT_TRUE(is_sealed());
  unseal();
  allocate_and_free(100);
  EXPECT_FALSE(is_sealed());
}

TEST(AllocGuard, a_seal_binds_only_its_own_thread) {
  bool sealed_in_thread = false;
  std::thread other([&] {
    seal();
    sealed_in_thread = is_sealed();
    unseal();
  });
  other.join();
  EXPECT_TRUE(sealed_in_thread);
  EXPECT_FALSE(is_sealed());
}

TEST(AllocGuard, aligned_new_gives_aligned_memory) {
  for (const std::size_t alignment : {std::size_t{32}, std::size_t{128}, std::size_t{4096}}) {
    void* at = ::operator new (alignment + 1, std::align_val_t{alignment});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(at) % alignment, 0U);
    ::operator delete (at, std::align_val_t{alignment});
  }
}

}  // namespace
}  // namespace millrace::base
