"""Requests to a server on this machine."""

import asyncio

from github_banners.serving.server import request_path


async def test_response_in_several_parts_is_read_to_its_end() -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in (b"HTTP/1.1 200 OK\r\n", b"Connection: close\r\n\r\n", b"alive"):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        response = await request_path("127.0.0.1", port, "/healthz")
    assert response == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nalive"
