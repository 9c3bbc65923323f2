// Seams: what a shard's type parameters are bound to in the running broker, and the meshes between
// cores.
#pragma once

#include "dataplane/base/ids.h"
#include "dataplane/ring/mesh.h"
#include "dataplane/shard/command.h"
#include "dataplane/shard/shard.h"
#include "storage/log.h"

namespace millrace::core {

using CommandMesh = ring::Mesh<shard::Command, 2048>;
using EventMesh = ring::Mesh<shard::Event, 4096>;

// Where the shards of one core put their events.
class EventOutbox {
 public:
  EventOutbox(EventMesh& mesh, base::CoreId self) : mesh_(mesh), self_(self) {}

  // One slot is kept back, so that the core's own answers (an unknown topic) always fit behind a
  // shard's.
  bool has_room(base::CoreId to) { return mesh_.ring(self_, to).free_slots() > 1; }
  void push(base::CoreId to, const shard::Event& event) {
    CHECK(mesh_.ring(self_, to).push(event));
  }
  std::uint64_t mark(base::CoreId to) { return mesh_.ring(self_, to).pushed_count(); }
  std::uint64_t consumed(base::CoreId by) { return mesh_.ring(self_, by).consumed_count(); }

 private:
  EventMesh& mesh_;
  base::CoreId self_;
};

using CoreShard = shard::Shard<storage::Log, EventOutbox>;

}  // namespace millrace::core

extern template class millrace::shard::Shard<millrace::storage::Log, millrace::core::EventOutbox>;
