#include "dataplane/port/dpdk_port.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_prefetch.h>

#include <algorithm>

#include "dataplane/base/check.h"

namespace millrace::port {
namespace {

constexpr std::uint32_t prefetch_ahead = 3;
constexpr std::uint64_t checksums_good = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;

rte_mbuf* mbuf_of(std::uint64_t cookie) {
  return reinterpret_cast<rte_mbuf*>(cookie);  // NOLINT(performance-no-int-to-ptr): it is its own
}

bool is_checksum_bad(std::uint64_t flags) {
  return (flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_BAD ||
         (flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

// A device's counter may start again from 0 when a peer comes back.
std::uint64_t grown_by(std::uint64_t now, std::uint64_t& before) {
  const std::uint64_t grown = now >= before ? now - before : now;
  before = now;
  return grown;
}

}  // namespace

std::uint32_t DpdkPort::receive_frames(std::span<RxFrame> frames) {
  std::array<rte_mbuf*, burst_max> mbufs;
  const auto wanted = static_cast<std::uint16_t>(std::min<std::size_t>(frames.size(), burst_max));
  if (!gate_.enter()) return 0;
  const std::uint16_t got = rte_eth_rx_burst(options_.device, options_.queue, mbufs.data(), wanted);
  gate_.leave();
  if (got == 0) return 0;

  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(prefetch_ahead, got); ++i) {
    rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void*));
  }
  std::uint32_t count = 0;
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < got; ++i) {
    rte_mbuf* mbuf = mbufs[i];
    if (i + prefetch_ahead < got) {
      rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + prefetch_ahead], void*));
    }
    if (mbuf->nb_segs != 1 && rte_pktmbuf_linearize(mbuf) != 0) [[unlikely]] {
      counters_.rx_errors.add();
      rte_pktmbuf_free(mbuf);
      continue;
    }
    RxFrame& frame = frames[count++];
    frame = RxFrame{};
    frame.data = rte_pktmbuf_mtod(mbuf, std::byte*);
    frame.bytes = mbuf->data_len;
    frame.checksum_good =
        options_.checksum_never_needed || (mbuf->ol_flags & checksums_good) == checksums_good;
    frame.checksum_bad = is_checksum_bad(mbuf->ol_flags);
    frame.cookie = reinterpret_cast<std::uint64_t>(mbuf);
    bytes += frame.bytes;
  }
  counters_.rx_packets.add(count);
  counters_.rx_bytes.add(bytes);
  return count;
}

void DpdkPort::release_frames(std::span<const RxFrame> frames) {
  std::array<rte_mbuf*, burst_max> mbufs;
  while (!frames.empty()) {
    const auto count = std::min<std::size_t>(frames.size(), burst_max);
    for (std::size_t i = 0; i < count; ++i) mbufs[i] = mbuf_of(frames[i].cookie);
    rte_pktmbuf_free_bulk(mbufs.data(), static_cast<unsigned>(count));
    frames = frames.subspan(count);
  }
}

std::uint32_t DpdkPort::allocate_frames(std::span<TxFrame> frames) {
  std::array<rte_mbuf*, burst_max> mbufs;
  auto count = static_cast<std::uint32_t>(std::min<std::size_t>(frames.size(), burst_max));
  if (count == 0) return 0;
  // All or none; a pool that runs low still serves a few.
  while (rte_pktmbuf_alloc_bulk(options_.pool, mbufs.data(), count) != 0) {
    count /= 2;
    if (count == 0) return 0;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    frames[i] = TxFrame{};
    frames[i].data = rte_pktmbuf_mtod(mbufs[i], std::byte*);
    frames[i].capacity = rte_pktmbuf_tailroom(mbufs[i]);
    frames[i].cookie = reinterpret_cast<std::uint64_t>(mbufs[i]);
  }
  return count;
}

void DpdkPort::discard_frames(std::span<const TxFrame> frames) {
  for (const TxFrame& frame : frames) rte_pktmbuf_free(mbuf_of(frame.cookie));
}

void DpdkPort::send_frames(std::span<const TxFrame> frames) {
  std::array<rte_mbuf*, burst_max> mbufs;
  while (!frames.empty()) {
    const auto count = static_cast<std::uint16_t>(std::min<std::size_t>(frames.size(), burst_max));
    for (std::uint32_t i = 0; i < count; ++i) {
      rte_mbuf* mbuf = mbuf_of(frames[i].cookie);
      DCHECK(frames[i].bytes <= frames[i].capacity);
      mbuf->data_len = static_cast<std::uint16_t>(frames[i].bytes);
      mbuf->pkt_len = frames[i].bytes;
      mbufs[i] = mbuf;
    }
    std::uint16_t sent = 0;
    if (gate_.enter()) {
      sent = rte_eth_tx_burst(options_.device, options_.queue, mbufs.data(), count);
      for (std::uint32_t retry = 0; sent < count && retry < tx_retries_max; ++retry) {
        rte_pause();
        sent = static_cast<std::uint16_t>(
            sent + rte_eth_tx_burst(options_.device, options_.queue, mbufs.data() + sent,
                                    static_cast<std::uint16_t>(count - sent)));
      }
      gate_.leave();
    }
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < sent; ++i) bytes += frames[i].bytes;
    counters_.tx_packets.add(sent);
    counters_.tx_bytes.add(bytes);
    if (sent < count) [[unlikely]] {
      counters_.tx_refused.add(static_cast<std::uint64_t>(count - sent));
      rte_pktmbuf_free_bulk(mbufs.data() + sent, static_cast<unsigned>(count - sent));
    }
    frames = frames.subspan(count);
  }
}

void DpdkPort::refresh_counters() {
  if (options_.queue != 0 || !gate_.enter()) return;
  rte_eth_stats stats{};
  if (rte_eth_stats_get(options_.device, &stats) == 0) {
    counters_.rx_missed.add(grown_by(stats.imissed, device_missed_));
    counters_.rx_errors.add(grown_by(stats.ierrors, device_errors_));
  }
  gate_.leave();
}

bool DpdkPort::link_up() const {
  rte_eth_link link{};
  return gate_.running() && rte_eth_link_get_nowait(options_.device, &link) == 0 &&
         link.link_status == RTE_ETH_LINK_UP;
}

}  // namespace millrace::port
