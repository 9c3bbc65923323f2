// ElasticWorkers: runs tasks on threads that come with the load and go when idle.
// Thread: enqueue() from any; shutdown() once.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

namespace millrace::control {

class ElasticWorkers {
 public:
  explicit ElasticWorkers(std::size_t threads_max) : threads_max_(threads_max) {}
  ~ElasticWorkers() { shutdown(); }
  ElasticWorkers(const ElasticWorkers&) = delete;
  ElasticWorkers& operator=(const ElasticWorkers&) = delete;

  // Waits while as many tasks wait as threads may run. Not to be called after shutdown().
  void enqueue(std::function<void()> task);
  // Waits for the tasks that run; those that only waited run too.
  void shutdown();

  std::size_t thread_count() const;

 private:
  void work();

  const std::size_t threads_max_;
  mutable std::mutex mutex_;
  std::condition_variable task_or_end_;
  std::condition_variable room_;
  std::condition_variable thread_gone_;
  std::deque<std::function<void()>> tasks_;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;
  bool is_ending_ = false;
};

}  // namespace millrace::control
