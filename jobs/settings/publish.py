"""Settings of publishing: gate, generations, stores."""

from typing import Literal

from pydantic import Field, SecretStr

from jobs.settings.base import Section, Texts


class Publish(Section):
    """Gate, generations, stores."""

    store: Literal["rocksdb", "memcached", "redis"] = "rocksdb"
    """Store that serves generations; rocksdb is embedded."""
    path: str = ".pinlake/store"
    """Folder of the embedded store, on a file system shared by driver and executors."""
    nodes: Texts = ("127.0.0.1:11211",)
    """Servers as host:port: one or several memcached, or one Redis, also as redis:// or rediss:// (TLS) URL."""
    password: SecretStr = SecretStr("")
    """Redis password; only from the environment, as PINLAKE_PUBLISH__PASSWORD."""
    user: str = ""
    """Redis ACL user; empty uses the default user."""
    database: int = Field(0, ge=0)
    """Redis database number; a number in the URL wins."""
    tls: bool = False
    """Connect to Redis by TLS, as rediss:// does."""
    tls_ca: str = ""
    """File of the CA certificate for Redis; empty uses the system's."""
    timeout_seconds: float = Field(1.0, gt=0)
    """Seconds to wait for a server's answer; a reader then continues without that server."""
    lease_seconds: int = Field(30, ge=2)
    """Seconds after which a dead publisher's lease ends; servers only, the embedded store uses a file lock."""
    grace_seconds: float = Field(60.0, ge=0)
    """Seconds a retired generation stays readable on servers, for requests that began with it."""
    keep_generations: int = Field(3, ge=2)
    """Generations kept for rollback, including the served one and the one before it."""
    fallback_length: int = Field(100, ge=1)
    """Pins in the fallback feed of users without one of their own."""
    fallback_owner_cap: int = Field(5, ge=1)
    """Pins of one creator in a fallback feed."""
    short_feed: int = Field(20, ge=1)
    """Pins below which the gate counts a feed as short."""
    churn_depth: int = Field(20, ge=1)
    """Top positions that the gate compares with the served generation."""
    verify_sample: int = Field(1000, ge=1)
    """Values per surface read back through the reader before the pointer moves."""
    pointer_seconds: float = Field(2.0, gt=0)
    """Seconds for which a reader may use a cached pointer."""
