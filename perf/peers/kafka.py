"""Apache Kafka, one node that is broker and controller: https://kafka.apache.org/documentation/

The heap, the collector and its flags are those of Kafka's own start script. The long session is
for a broker that stands still between its turns: its controller would put it out of service.
Index files are mapped, and a device's read-ahead (8 MiB here) fills as much of a new one at its
first touch: with those of 10 MiB, the default, a new topic of 100 partitions had some seconds of
500 messages each; with those of 1 MiB a segment is full after 512 MiB.
"""

import base64
import os
import uuid

import maven
import peer
from peer import DEVICE, PAGE_CACHE, Load, Peer, Running, Setup

VERSION = "4.1.0"
ARTIFACTS = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.slf4j:slf4j-simple:1.7.36")
JAVA = ("-server", "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
        "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
        "-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
LOADS = (Load("log", "kafka", pins_generator=False),)
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={directory}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
auto.create.topics.enable=false
log.index.size.max.bytes=1048576
broker.session.timeout.ms=3600000
"""


class Kafka(Peer):
    name = "kafka"
    warm_up_s = 5.0
    setups = (
        Setup("recommended", PAGE_CACHE, LOADS, "acks=all, no flush of its own", {"flush": ""}),
        Setup("flushed", DEVICE, LOADS, "acks=all, log.flush.interval.messages=1",
              {"flush": "log.flush.interval.messages=1\n"}),
    )

    def install(self):
        maven.install(self.name, *ARTIFACTS)

    def version(self):
        return VERSION

    def start(self, directory, setup):
        port, controller_port = peer.free_port(), peer.free_port()
        properties = os.path.join(directory, "server.properties")
        with open(properties, "w") as file:
            file.write(PROPERTIES.format(port=port, controller_port=controller_port,
                                         directory=directory) + setup.options["flush"])
        java = ["java", *JAVA, "-cp", os.path.join(maven.folder_of(self.name, *ARTIFACTS), "*")]
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        peer.run([*java, "kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config",
                  properties])
        process, log = peer.spawn([*java, "kafka.Kafka", properties], directory)
        return peer.when_ready(Running(process, f"127.0.0.1:{port}", log), peer.listens(port))
