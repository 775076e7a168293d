"""Runs one scenario with a transport of gql and prints what happened as lines of JSON.

    client.py SCENARIO TRANSPORT HTTP_URL WEBSOCKET_URL

The program checks nothing: the test that starts it compares the lines.
"""

import asyncio
import json
import logging
import sys
from contextlib import AsyncExitStack, aclosing
from functools import partial

from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport

SUBSCRIBERS_COUNT = 3
WAVES_COUNT = 6
# The number of messages that are in flight at once.
WAVE_SIZE = 50
KEEPALIVES_COUNT = 3
PING_INTERVAL_SECONDS = 0.05
KEEPALIVE_TIMEOUT_SECONDS = 20

WEBSOCKET_TRANSPORTS = {
    "websockets": WebsocketsTransport,
    "aiohttp": AIOHTTPWebsocketsTransport,
}

SIGN_IN = 'mutation { signIn(name: "Ada") { token } }'
HEAD = '{ room(id: "room-1") { head } }'
SEND = """mutation ($text: String!, $roomId: ID! = "room-1") {
  sendMessage(roomId: $roomId, text: $text) { text }
}"""
NEW_MESSAGE = """subscription ($after: Cursor, $roomId: ID! = "room-1") {
  newMessage(roomId: $roomId, after: $after) { text }
}"""
INVALID = "{ nothing }"


def report(**line):
    print(json.dumps(line), flush=True)


def connect(transport, http, web_socket, token=None, **options):
    """A client of gql. The context manager opens its connection and returns its session."""
    credentials = {"authorization": f"Bearer {token}"} if token else {}
    if transport == "http":
        return Client(transport=AIOHTTPTransport(url=http, headers=credentials))
    library, subprotocol = transport.split("/")
    return Client(
        transport=WEBSOCKET_TRANSPORTS[library](
            url=web_socket, init_payload=credentials, subprotocols=[subprotocol], **options
        )
    )


async def ask(session, document, **variables):
    return await session.execute(GraphQLRequest(document, variable_values=variables))


async def signed_in(connecting):
    async with connecting() as session:
        return (await ask(session, SIGN_IN))["signIn"]["token"]


async def head(session):
    return (await ask(session, HEAD))["room"]["head"]


async def messages(session, **variables):
    """The texts of the messages that a subscription receives."""
    request = GraphQLRequest(NEW_MESSAGE, variable_values=variables)
    async with aclosing(session.subscribe(request)) as results:
        async for data in results:
            yield data["newMessage"]["text"]


async def report_refusal(answer):
    try:
        await answer
    except TransportQueryError as error:
        report(refused=error.errors[0]["extensions"]["code"])


async def fan_out(connecting):
    """Several subscribers, each with its own connection, and a sender."""
    token = await signed_in(connecting)
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(connecting(token))
        start = await head(sender)

        async def subscriber(number):
            session = await stack.enter_async_context(connecting())
            async with aclosing(messages(session, after=start)) as texts:
                async for text in texts:
                    report(by=number, received=text)
                    if text == "fence":
                        return

        subscribers = [asyncio.create_task(subscriber(i)) for i in range(SUBSCRIBERS_COUNT)]
        for wave in range(WAVES_COUNT):
            texts = [f"message {wave * WAVE_SIZE + i}" for i in range(WAVE_SIZE)]
            await asyncio.gather(*(ask(sender, SEND, text=text) for text in texts))
        await ask(sender, SEND, text="fence")
        await asyncio.gather(*subscribers)


async def refusals(connecting):
    """Operations that the server refuses, on a socket with an open subscription."""
    async with connecting(await signed_in(connecting)) as session:
        async with aclosing(messages(session, after=await head(session))) as texts:
            await ask(session, SEND, text="before")
            report(received=await anext(texts))
            await report_refusal(ask(session, INVALID))
            await report_refusal(ask(session, SEND, text="lost", roomId="nowhere"))
            await report_refusal(anext(messages(session, roomId="nowhere")))
            await ask(session, SEND, text="after")
            report(received=await anext(texts))


class Keepalives(logging.Handler):
    """Counts the pongs and the `ka` messages in the log of gql."""

    def __init__(self):
        super().__init__()
        self.enough = asyncio.Event()
        self.count = 0

    def emit(self, record):
        if record.msg != "<<< %s" or json.loads(record.args[0])["type"] not in ("pong", "ka"):
            return
        self.count += 1
        if self.count == KEEPALIVES_COUNT:
            self.enough.set()


async def keepalive(connecting):
    """A socket on which nothing but keepalive messages is sent for a while."""
    token = await signed_in(connecting)
    keepalives = Keepalives()
    log = logging.getLogger("gql.transport.common.base")
    log.setLevel(logging.DEBUG)
    log.addHandler(keepalives)
    pings = {"ping_interval": PING_INTERVAL_SECONDS, "pong_timeout": KEEPALIVE_TIMEOUT_SECONDS}
    async with connecting(token, **pings) as session:
        async with aclosing(messages(session, after=await head(session))) as texts:
            await asyncio.wait_for(keepalives.enough.wait(), KEEPALIVE_TIMEOUT_SECONDS)
            await ask(session, SEND, text="still here")
            report(received=await anext(texts))


async def invalid_token(connecting):
    try:
        async with connecting("none") as session:
            await ask(session, HEAD)
    except TransportError as error:
        report(failed=type(error).__name__)


async def batch(connecting):
    """Two mutations and a refused operation in one request."""
    async with connecting(await signed_in(connecting)) as session:
        requests = [GraphQLRequest(SEND, variable_values={"text": text}) for text in "ab"]
        for answer in await session.execute_batch(requests):
            report(sent=answer["sendMessage"]["text"])
        await report_refusal(session.execute_batch([requests[0], GraphQLRequest(INVALID)]))


SCENARIOS = {
    "fan-out": fan_out,
    "refusals": refusals,
    "keepalive": keepalive,
    "invalid-token": invalid_token,
    "batch": batch,
}

if __name__ == "__main__":
    scenario, *endpoint = sys.argv[1:]
    asyncio.run(SCENARIOS[scenario](partial(connect, *endpoint)))
