// ElasticWorkers: see elastic_workers.h.
#include "control/admin/elastic_workers.h"

#include <chrono>
#include <thread>
#include <utility>

#include "dataplane/base/check.h"

namespace millrace::control {

namespace {
constexpr auto idle_for_max = std::chrono::seconds(5);
}  // namespace

void ElasticWorkers::enqueue(std::function<void()> task) {
  std::unique_lock lock(mutex_);
  CHECK(!is_ending_);
  room_.wait(lock, [this] { return tasks_.size() < threads_max_; });
  tasks_.push_back(std::move(task));
  if (tasks_.size() > idle_ && threads_ < threads_max_) {
    ++threads_;
    std::thread([this] { work(); }).detach();  // shutdown() waits for all of them
  }
  task_or_end_.notify_one();
}

void ElasticWorkers::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    const bool has_news =
        task_or_end_.wait_for(lock, idle_for_max, [this] { return is_ending_ || !tasks_.empty(); });
    --idle_;
    if (!has_news || tasks_.empty()) break;
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    room_.notify_one();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
  --threads_;
  thread_gone_.notify_all();
}

void ElasticWorkers::shutdown() {
  std::unique_lock lock(mutex_);
  is_ending_ = true;
  task_or_end_.notify_all();
  thread_gone_.wait(lock, [this] { return threads_ == 0; });
}

std::size_t ElasticWorkers::thread_count() const {
  const std::lock_guard lock(mutex_);
  return threads_;
}

}  // namespace millrace::control
