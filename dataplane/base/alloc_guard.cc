#include "dataplane/base/alloc_guard.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace millrace::base {
namespace {

thread_local bool sealed = false;

void* guarded_allocate(std::size_t bytes, std::size_t alignment) {
  if (sealed) {
    std::fprintf(stderr, "operator new of %zu bytes on a sealed core\n", bytes);
    std::abort();
  }
  if (bytes == 0) bytes = 1;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) & ~(alignment - 1));
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  void* at = guarded_allocate(bytes, alignment);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

}  // namespace

void seal() { sealed = true; }
void unseal() { sealed = false; }
bool is_sealed() { return sealed; }

}  // namespace millrace::base

using millrace::base::allocate_or_throw;
using millrace::base::guarded_allocate;

void* operator new(std::size_t bytes) { return allocate_or_throw(bytes, 1); }
void* operator new[](std::size_t bytes) { return allocate_or_throw(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return guarded_allocate(bytes, 1);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return guarded_allocate(bytes, 1);
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
