#include "dataplane/protocol/datagram/listeners.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "dataplane/base/murmur2.h"

namespace millrace::datagram {
namespace {

std::string_view text_of(const std::byte* data, std::uint32_t bytes) {
  return {reinterpret_cast<const char*>(data), bytes};
}

struct SourceText {
  std::array<char, 16> text;
  std::uint32_t bytes;
  std::string_view view() const { return {text.data(), bytes}; }
};

SourceText source_text(std::uint32_t ipv4) {
  SourceText out;
  const auto end = fmt::format_to_n(out.text.data(), out.text.size(), "{}.{}.{}.{}", ipv4 >> 24,
                                    (ipv4 >> 16) & 255, (ipv4 >> 8) & 255, ipv4 & 255);
  out.bytes = static_cast<std::uint32_t>(end.size);
  return out;
}

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool parse_key(std::string_view value, ListenerSpec& spec) {
  if (value == "none") return spec.key = Key::none, true;
  if (value == "source") return spec.key = Key::source, true;
  if (!value.starts_with("bytes:")) return false;
  value.remove_prefix(6);
  const auto colon = value.find(':');
  if (colon == std::string_view::npos) return false;
  const auto offset = parse_number(value.substr(0, colon));
  const auto length = parse_number(value.substr(colon + 1));
  if (!offset || !length || *length == 0 || *length > 4096 || *offset > 65535) return false;
  spec.key = Key::bytes;
  spec.key_offset = *offset;
  spec.key_bytes = *length;
  return true;
}

bool is_refusal(shard::Status status) {
  return status != shard::Status::ok && status != shard::Status::duplicate;
}

}  // namespace

base::Result<ListenerSpec> parse_listener(std::string_view text) {
  const auto wrong = [&](std::string_view what) {
    return base::Error(base::ErrorCode::invalid_argument,
                       "listener '{}': {}; it reads "
                       "PORT=TOPIC[,framing=datagram|lines][,key=none|source|bytes:OFFSET:"
                       "LENGTH]",
                       text, what);
  };
  ListenerSpec spec;
  std::string_view rest = text;
  for (bool first = true; !rest.empty() || first; first = false) {
    const auto comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) return wrong(fmt::format("'{}' has no '='", part));
    const std::string_view name = part.substr(0, equals);
    const std::string_view value = part.substr(equals + 1);
    if (first) {
      const auto port = parse_number(name);
      if (!port || *port == 0 || *port > 65535)
        return wrong(fmt::format("'{}' is not a UDP port", name));
      if (value.empty() || value.size() > 249)
        return wrong("the topic's name is empty or over 249 bytes");
      spec.udp_port = static_cast<std::uint16_t>(*port);
      spec.topic = value;
    } else if (name == "framing" && (value == "datagram" || value == "lines")) {
      spec.framing = value == "lines" ? Framing::lines : Framing::datagram;
    } else if (name != "key" || !parse_key(value, spec)) {
      return wrong(fmt::format("'{}' is not understood", part));
    }
  }
  return spec;
}

Listeners::Listeners(std::vector<ListenerSpec> specs, base::Arena& arena) {
  CHECK(specs.size() <= listeners_max);
  for (auto& spec : specs) {
    Listener listener;
    listener.spec = std::move(spec);
    listeners_.push_back(std::move(listener));
  }
  for (Building& building : batches_)
    building.memory = arena.allocate_bytes(batch_buffer_bytes, 64);
}

std::uint64_t Listeners::arena_bytes() {
  return static_cast<std::uint64_t>(batches_max) * batch_buffer_bytes + 4096;
}

Listeners::Listener* Listeners::find(std::uint16_t udp_port) {
  for (Listener& listener : listeners_) {
    if (listener.spec.udp_port == udp_port) return &listener;
  }
  return nullptr;
}

protocol::Disposition Listeners::handle_request(const protocol::Datagram& datagram,
                                                std::uint64_t wall_ms, protocol::Effects& effects) {
  Listener* listener = find(datagram.local_port);
  if (listener == nullptr) return {.reason = base::DropReason::no_listener};
  if (!listener->known) return {.reason = base::DropReason::unknown_topic};
  if (listener->refusing && effects.append_room_bytes == ~0ULL)
    return {.reason = base::DropReason::log_refused};
  SourceText source{};
  if (listener->spec.key == Key::source) source = source_text(datagram.peer.ipv4);
  std::string_view rest = text_of(datagram.data, datagram.bytes);
  const std::uint16_t port_index = datagram.peer.port_index;
  if (listener->spec.framing == Framing::datagram) {
    Building* added = add_record(*listener, rest, source.view(), wall_ms, effects);
    if (added == nullptr) return {.reason = base::DropReason::busy};
    ++added->datagrams[port_index];
    return {};
  }
  // What is sure not to fit is not begun.
  if (effects.append_room_bytes < 2ULL * datagram.bytes + storage::batch_header_bytes) {
    return {.reason = base::DropReason::busy};
  }
  Building* first = nullptr;
  while (!rest.empty()) {
    const auto newline = rest.find('\n');
    std::string_view line = rest.substr(0, newline);
    rest = newline == std::string_view::npos ? std::string_view() : rest.substr(newline + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    Building* added = add_record(*listener, line, source.view(), wall_ms, effects);
    if (added == nullptr) return {.reason = base::DropReason::busy};
    if (first == nullptr) first = added;
  }
  if (first != nullptr) ++first->datagrams[port_index];
  return {};
}

Listeners::Building* Listeners::add_record(Listener& listener, std::string_view record,
                                           std::string_view source, std::uint64_t wall_ms,
                                           protocol::Effects& effects) {
  std::optional<std::string_view> key;
  if (listener.spec.key == Key::source) key = source;
  if (listener.spec.key == Key::bytes &&
      record.size() >= listener.spec.key_offset + listener.spec.key_bytes) {
    key = record.substr(listener.spec.key_offset, listener.spec.key_bytes);
  }
  const std::uint32_t partition_index = key ? base::partition_of_key(*key, listener.partition_count)
                                            : listener.next_partition % listener.partition_count;
  const auto number = static_cast<std::uint16_t>(&listener - listeners_.data());
  for (int attempt = 0; attempt < 2; ++attempt) {
    Building* building = batch_for(number, partition_index);
    if (building == nullptr) return nullptr;
    const std::uint64_t needed =
        building->builder.bytes() + record.size() + (key ? key->size() : 0);
    if (needed + 128 > effects.append_room_bytes) return nullptr;
    if (building->builder.add(key, record, static_cast<std::int64_t>(wall_ms))) return building;
    if (effects.commands.full()) return nullptr;
    send(*building, effects);
  }
  return nullptr;
}

// The batch under construction for the partition; null when all buffers are with the shards.
Listeners::Building* Listeners::batch_for(std::uint16_t listener, std::uint32_t partition_index) {
  Building* unused = nullptr;
  for (Building& building : batches_) {
    if (building.open && building.listener == listener &&
        building.partition_index == partition_index) {
      return &building;
    }
    if (unused == nullptr && !building.open && !building.waiting) unused = &building;
  }
  if (unused == nullptr) return nullptr;
  unused->open = true;
  unused->listener = listener;
  unused->partition_index = partition_index;
  unused->datagrams = {};
  unused->builder.start(unused->memory);
  ++open_count_;
  return unused;
}

void Listeners::send(Building& building, protocol::Effects& effects) {
  Listener& listener = listeners_[building.listener];
  building.open = false;
  --open_count_;
  if (building.builder.empty()) return;
  building.waiting = true;
  const auto batch = building.builder.finish(base::no_producer_id, -1, -1);
  shard::Command command;
  command.kind = shard::CommandKind::append;
  command.partition =
      base::PartitionId{base::raw(listener.first_partition) + building.partition_index};
  command.stream = static_cast<std::uint32_t>(&building - batches_.data());
  command.bytes = batch.data();
  command.byte_count = static_cast<std::uint32_t>(batch.size());
  effects.commands.push(command);
  effects.append_room_bytes -= effects.append_room_bytes == ~0ULL ? 0 : batch.size();
  ++listener.next_partition;
}

void Listeners::flush(protocol::Effects& effects) {
  if (open_count_ == 0) return;
  for (Building& building : batches_) {
    if (building.open && !effects.commands.full()) send(building, effects);
  }
}

void Listeners::poll(std::uint64_t now_ns, protocol::Effects& effects) {
  for (Listener& listener : listeners_) {
    if (listener.known || now_ns < listener.ask_at_ns || effects.commands.full()) continue;
    listener.ask_at_ns = now_ns + reopen_ns;
    shard::Command command;
    command.kind = shard::CommandKind::open;
    command.stream = static_cast<std::uint32_t>(&listener - listeners_.data());
    command.bytes = reinterpret_cast<const std::byte*>(listener.spec.topic.data());
    command.byte_count = static_cast<std::uint32_t>(listener.spec.topic.size());
    effects.commands.push(command);
  }
}

void Listeners::ask_again() {
  for (Listener& listener : listeners_) listener.ask_at_ns = 0;
}

bool Listeners::settled() const {
  return std::all_of(listeners_.begin(), listeners_.end(),
                     [](const Listener& listener) { return listener.answered; });
}

void Listeners::encode_reply(const shard::Event& event) {
  if (event.kind == shard::EventKind::opened) {
    Listener& listener = listeners_[event.stream];
    listener.answered = event.status != shard::Status::not_ready;
    if (event.status != shard::Status::ok) return;  // asked again by poll()
    listener.known = true;
    listener.first_partition = event.partition;
    listener.partition_count = event.partition_count;
  } else if (event.kind == shard::EventKind::appended) {
    Building& building = batches_[event.stream];
    building.waiting = false;
    Listener& listener = listeners_[building.listener];
    listener.refusing = is_refusal(event.status);
    if (!listener.refusing) return;
    for (std::size_t port = 0; port < refused_.size(); ++port) {
      refused_[port] += building.datagrams[port];
    }
    if (event.status == shard::Status::unknown_topic) listener.known = false;
  }
}

std::uint32_t Listeners::take_refused(std::uint16_t port_index) {
  return std::exchange(refused_[port_index], 0);
}

}  // namespace millrace::datagram
