"""RabbitMQ, one node: https://www.rabbitmq.com/docs/production-checklist, /docs/confirms

A confirm of a persistent message follows the flush of what holds it, unless a consumer has
acknowledged the message before that.
"""

import os

import peer
from peer import DEVICE, Load, Peer, Running, Setup

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"


class RunningNode(Running):
    """A node, and the port mapper that Erlang wants beside it."""

    def __init__(self, process, address, log, mapper):
        super().__init__(process, address, log)
        self.mapper = mapper

    def stop(self):
        super().stop()
        self.mapper.terminate()
        self.mapper.wait()


class RabbitMq(Peer):
    name = "rabbitmq"
    setups = (
        Setup("recommended", DEVICE,
              (Load("classic queue", "rabbitmq", {"queue-type": "classic"}),),
              "durable queue, persistent messages, confirms"),
        Setup("quorum", DEVICE, (Load("quorum queue", "rabbitmq", {"queue-type": "quorum"}),),
              "confirms, one member"),
    )

    def install(self):
        peer.install_packages("rabbitmq-server")

    def version(self):
        return peer.version_of("rabbitmq-server")

    def start(self, directory, setup):
        port, mapper_port = peer.free_port(), peer.free_port()
        mapper_environment = {"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(mapper_port)}
        mapper, _ = peer.spawn([peer.program("epmd")], directory,
                               env={**os.environ, **mapper_environment})
        process, log = peer.spawn([SERVER], directory, env={
            **os.environ, **mapper_environment,
            "HOME": directory,
            "RUNNING_UNDER_SYSTEMD": "true",  # no shell that stays between it and its signals
            "RABBITMQ_NODENAME": f"millrace{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(peer.free_port()),
            "RABBITMQ_MNESIA_BASE": os.path.join(directory, "data"),
            "RABBITMQ_LOG_BASE": os.path.join(directory, "log"),
            "RABBITMQ_CONF_ENV_FILE": os.path.join(directory, "none"),
            "RABBITMQ_CONFIG_FILE": os.path.join(directory, "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(directory, "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        })
        return peer.when_ready(RunningNode(process, f"127.0.0.1:{port}", log, mapper),
                               peer.listens(port))
