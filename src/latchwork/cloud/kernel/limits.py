"""Rate limits: token buckets, per process, in memory."""

from __future__ import annotations

from dataclasses import dataclass

from latchwork.wire.api.problems import TooManyRequests

_MOST_BUCKETS = 50_000


@dataclass(slots=True)
class Bucket:
    """`left` requests may come at once, refilled by `rate` a second up to `burst`."""

    rate: float
    burst: int
    left: float
    at: float

    def take(self, now: float) -> None:
        """One more request passes; raises TooManyRequests when the bucket is empty."""
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            raise TooManyRequests(retry_after=self.seconds_until_next)
        self.left -= 1

    @property
    def seconds_until_next(self) -> int:
        return max(1, round((1 - self.left) / self.rate + 0.5))

    def headers(self) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
        """RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10 §3, §4)."""
        window = max(1, round(self.burst / self.rate))
        reset = 0 if self.left >= 1 else self.seconds_until_next
        return (
            (b"ratelimit-policy", b'"default";q=%d;w=%d' % (self.burst, window)),
            (b"ratelimit", b'"default";r=%d;t=%d' % (int(self.left), reset)),
        )


class Limits:
    """Buckets by key: a client's row, or an address."""

    def __init__(self) -> None:
        self._buckets: dict[object, Bucket] = {}

    def bucket(self, key: object, rate: float, burst: int, now: float) -> Bucket:
        """The key's bucket. `now` in monotonic seconds."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(rate, burst, burst, now)
            if len(self._buckets) > _MOST_BUCKETS:
                del self._buckets[next(iter(self._buckets))]
        elif bucket.rate != rate or bucket.burst != burst:
            bucket.rate, bucket.burst = rate, burst
        return bucket
