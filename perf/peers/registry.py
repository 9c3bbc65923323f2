"""The list of peers; a new one is a file and a line here."""

import importlib

# Module and class; Millrace first.
PEERS = (("millrace", "Millrace"), ("kafka", "Kafka"), ("aeron", "Aeron"), ("redis", "Redis"),
         ("nats", "Nats"), ("rabbitmq", "RabbitMq"), ("beanstalkd", "Beanstalkd"), ("nsq", "Nsq"),
         ("gearmand", "Gearmand"), ("zeromq", "ZeroMq"))


def names():
    return [module for module, _ in PEERS]


def choose(wanted=None):
    """The peers of these names, or all of them. ValueError names one that is none."""
    unknown = [name for name in wanted or () if name not in names()]
    if unknown:
        raise ValueError(f"no peer '{unknown[0]}'; there are {', '.join(names())}")
    return [getattr(importlib.import_module(module), kind)() for module, kind in PEERS
            if wanted is None or module in wanted]
