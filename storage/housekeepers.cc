#include "storage/housekeepers.h"

#include <hwloc.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>
#include <oneapi/tbb/task_scheduler_observer.h>

#include <utility>

namespace millrace::storage {
namespace {

constexpr int threads = 2;  // one is the caller's place

// Binds each thread that joins the arena.
class Binder final : public tbb::task_scheduler_observer {
 public:
  Binder(tbb::task_arena& arena, const std::vector<std::uint32_t>& data_cpus)
      : tbb::task_scheduler_observer(arena) {
    if (data_cpus.empty()) return;
    if (hwloc_topology_init(&topology_) != 0) return;
    if (hwloc_topology_load(topology_) != 0) return;
    cpus_ = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology_));
    for (const std::uint32_t cpu : data_cpus) hwloc_bitmap_clr(cpus_, cpu);
    if (!hwloc_bitmap_iszero(cpus_)) observe(true);
  }
  ~Binder() override {
    observe(false);
    if (cpus_ != nullptr) hwloc_bitmap_free(cpus_);
    if (topology_ != nullptr) hwloc_topology_destroy(topology_);
  }
  Binder(const Binder&) = delete;
  Binder& operator=(const Binder&) = delete;

  // The caller has a place of its own.
  void on_scheduler_entry(bool is_worker) override {
    if (is_worker) hwloc_set_cpubind(topology_, cpus_, HWLOC_CPUBIND_THREAD);
  }

 private:
  hwloc_topology_t topology_ = nullptr;
  hwloc_bitmap_t cpus_ = nullptr;
};

}  // namespace

struct Housekeepers::State {
  explicit State(const std::vector<std::uint32_t>& data_cpus) : binder(arena, data_cpus) {}
  tbb::task_arena arena{threads, 1};
  Binder binder;
  tbb::task_group group;
};

Housekeepers::Housekeepers(const std::vector<std::uint32_t>& data_cpus)
    : state_(std::make_unique<State>(data_cpus)) {}

Housekeepers::~Housekeepers() { wait(); }

void Housekeepers::run(std::function<void()> job) {
  state_->arena.execute([&] { state_->group.run(std::move(job)); });
}

void Housekeepers::wait() {
  state_->arena.execute([&] { state_->group.wait(); });
}

}  // namespace millrace::storage
