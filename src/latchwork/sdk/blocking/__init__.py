"""The client of `latchwork.sdk.client` without await, for programs that do not run on asyncio.

    with Client("https://access.example.org", client_id, client_secret) as cloud:
        for site in cloud.page_sites(): ...

One client may be used from several threads at once: they share its connections and its token.
"""

from latchwork.sdk.blocking.client import Client, CloudUnreachable, Credentials, Listing, UnexpectedAnswer

__all__ = ["Client", "CloudUnreachable", "Credentials", "Listing", "UnexpectedAnswer"]
