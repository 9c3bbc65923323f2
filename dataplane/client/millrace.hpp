// millrace.hpp: the C ABI with owners and views, for C++17 and later. Header only.
//
// Statuses stay numbers: a call that can fail returns a negative mr_status exactly as the C
// function does, and nothing here throws. Producers and subscriptions must go before their client.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "millrace.h"

namespace millrace {

inline const char* status_text(std::int64_t status) {
  return mr_status_text(static_cast<int>(status));
}

// A delivered record; views are valid within the handler.
class RecordView {
 public:
  explicit RecordView(const mr_record& record) : record_(record) {}
  std::int64_t offset() const { return record_.offset; }
  std::int64_t timestamp_ms() const { return record_.timestamp_ms; }
  bool has_key() const { return record_.key != nullptr; }
  bool is_tombstone() const { return record_.value == nullptr; }
  std::string_view key() const { return view(record_.key, record_.key_bytes); }
  std::string_view value() const { return view(record_.value, record_.value_bytes); }
  const mr_record& raw() const { return record_; }

 private:
  static std::string_view view(const void* at, std::size_t bytes) {
    return {static_cast<const char*>(at), bytes};
  }
  const mr_record& record_;
};

class Producer {
 public:
  // nullopt: no key.
  using Key = std::optional<std::string_view>;

  std::int64_t offer(Key key, std::string_view value) {
    return mr_offer(producer_.get(), at(key), size(key), data(value), value.size());
  }
  std::int64_t offer(std::string_view value) { return offer(std::nullopt, value); }
  std::int64_t offer_tombstone(std::string_view key) {
    return mr_offer(producer_.get(), data(key), key.size(), nullptr, 0);
  }
  std::int64_t claim(Key key, std::size_t value_bytes, void** value) {
    return mr_claim(producer_.get(), at(key), size(key), value_bytes, value);
  }
  int commit() { return mr_commit(producer_.get()); }
  int abort() { return mr_abort(producer_.get()); }
  int flush() { return mr_flush(producer_.get()); }
  int drain(std::uint32_t timeout_ms) { return mr_drain(producer_.get(), timeout_ms); }
  int poll_acks(mr_acks& acks) { return mr_poll_acks(producer_.get(), &acks); }
  int retry() { return mr_producer_retry(producer_.get()); }
  int status() const { return mr_producer_status(producer_.get()); }
  std::int64_t next_sequence() const { return mr_next_sequence(producer_.get()); }
  mr_producer* raw() const { return producer_.get(); }

 private:
  friend class Client;
  struct Close {
    void operator()(mr_producer* producer) const { mr_producer_close(producer); }
  };
  explicit Producer(mr_producer* producer) : producer_(producer) {}

  // An empty string is a key or value of no bytes, not the absence of one.
  static const void* data(std::string_view bytes) {
    return bytes.data() == nullptr ? "" : bytes.data();
  }
  static const void* at(const Key& key) { return key ? data(*key) : nullptr; }
  static std::size_t size(const Key& key) { return key ? key->size() : 0; }

  std::unique_ptr<mr_producer, Close> producer_;
};

class Subscription {
 public:
  // MR_OK, MR_NOT_CONNECTED while (re)subscribing, or why it stopped.
  int position(mr_position& position) const {
    return mr_subscription_position(subscription_.get(), &position);
  }
  int status() const {
    mr_position ignored;
    return position(ignored);
  }
  mr_subscription* raw() const { return subscription_.get(); }

 private:
  friend class Client;
  struct Close {
    void operator()(mr_subscription* subscription) const { mr_unsubscribe(subscription); }
  };
  explicit Subscription(mr_subscription* subscription) : subscription_(subscription) {}

  std::unique_ptr<mr_subscription, Close> subscription_;
};

// A value, or a negative status and a text.
template <typename T>
class Opened {
 public:
  Opened(T value) : value_(std::move(value)) {}
  Opened(int status, std::string error) : status_(status), error_(std::move(error)) {}
  explicit operator bool() const { return value_.has_value(); }
  T& operator*() { return *value_; }
  T* operator->() { return &*value_; }
  int status() const { return status_; }
  const std::string& error() const { return error_; }

 private:
  std::optional<T> value_;
  int status_ = MR_OK;
  std::string error_;
};

class Client {
 public:
  static Opened<Client> connect(const mr_options& options) {
    mr_client* client = nullptr;
    char error[400];
    const int status = mr_connect(&options, &client, error, sizeof error);
    if (status != MR_OK) return {status, error};
    return Client(client);
  }
  static Opened<Client> connect(const std::string& address) {
    mr_options options;
    mr_options_init(&options);
    options.address = address.c_str();
    return connect(options);
  }

  Opened<Producer> open_producer(const mr_producer_options& options) {
    mr_producer* producer = nullptr;
    const int status = mr_producer_open(client_.get(), &options, &producer);
    if (status != MR_OK) return {status, mr_status_text(status)};
    return Producer(producer);
  }
  Opened<Producer> open_producer(const std::string& topic, mr_ack ack = MR_ACK_DURABLE) {
    mr_producer_options options;
    mr_producer_options_init(&options);
    options.topic = topic.c_str();
    options.ack = static_cast<std::uint8_t>(ack);
    return open_producer(options);
  }
  Opened<Subscription> subscribe(const mr_subscription_options& options) {
    mr_subscription* subscription = nullptr;
    const int status = mr_subscribe(client_.get(), &options, &subscription);
    if (status != MR_OK) return {status, mr_status_text(status)};
    return Subscription(subscription);
  }
  Opened<Subscription> subscribe(const std::string& topic, std::uint32_t partition,
                                 mr_start start = MR_FROM_LATEST, std::int64_t start_value = 0) {
    mr_subscription_options options;
    mr_subscription_options_init(&options);
    options.topic = topic.c_str();
    options.partition = partition;
    options.start = static_cast<std::uint8_t>(start);
    options.start_value = start_value;
    return subscribe(options);
  }

  // handler(RecordView) for each record, at most records_max. It must not throw.
  template <typename Handler>
  int poll(Handler&& handler, std::uint32_t records_max = 1024) {
    using Callee = std::remove_reference_t<Handler>;
    return mr_poll(
        client_.get(),
        [](void* context, const mr_record* record) {
          (*static_cast<Callee*>(context))(RecordView(*record));
        },
        const_cast<void*>(static_cast<const void*>(std::addressof(handler))), records_max);
  }
  int poll() { return mr_poll(client_.get(), nullptr, nullptr, 0); }
  int wait(std::uint64_t timeout_us) { return mr_wait(client_.get(), timeout_us); }
  int status() const { return mr_connection_status(client_.get()); }
  std::string_view path() const { return mr_path(client_.get()); }
  mr_client* raw() const { return client_.get(); }

 private:
  struct Close {
    void operator()(mr_client* client) const { mr_close(client); }
  };
  explicit Client(mr_client* client) : client_(client) {}

  std::unique_ptr<mr_client, Close> client_;
};

}  // namespace millrace
