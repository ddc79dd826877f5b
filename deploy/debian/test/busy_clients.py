"""Four clients that ask all the while, until the file named by the second argument is there.

    python3 busy_clients.py URL STOP-FILE

Two of them keep their connections. Prints how many requests there were and how long they took;
exits with 1 if one was not answered as it must be.
"""

import http.client
import json
import pathlib
import sys
import threading
import time
import urllib.parse

PATIENCE_SECONDS = 60


def ask(connection, address, number):
    """What is wrong with the answer, or None; and whether the connection stays."""
    payload = json.dumps({"code": f"x = {number}", "globals_dict": {}})
    body = urllib.parse.urlencode({"payload": payload})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request("POST", address.path + "/api/v0/code-exec", body, headers)
        response = connection.getresponse()
        text = response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return f"request {number}: {error!r}", False
    if response.status != 200 or json.loads(text) != {"globals_dict": {"x": number}}:
        return f"request {number}: {response.status} {text[:200]}", False
    return None, not response.will_close


def client(address, stop, keeps, seconds, wrong):
    """Asks again and again."""
    number, connection = 0, None
    while not stop.exists():
        number += 1
        if connection is None:
            connection = http.client.HTTPConnection(address.netloc, timeout=PATIENCE_SECONDS)
        start = time.monotonic()
        fault, stays = ask(connection, address, number)
        seconds.append(time.monotonic() - start)
        if fault:
            wrong.append(fault)
        if not (keeps and stays):
            connection.close()
            connection = None


def main():
    """Starts the clients, waits for their end and says how it went."""
    address, stop = urllib.parse.urlsplit(sys.argv[1]), pathlib.Path(sys.argv[2])
    seconds, wrong = [], []
    clients = [
        threading.Thread(target=client, args=(address, stop, keeps, seconds, wrong))
        for keeps in (True, True, False, False)
    ]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    for fault in wrong[:10]:
        print("WRONG:", fault)
    seconds.sort()
    p99 = seconds[len(seconds) * 99 // 100]
    print(
        f"{len(seconds)} requests, {len(wrong)} wrong; p99 {p99 * 1000:.0f} ms, the slowest {seconds[-1] * 1000:.0f} ms"
    )
    sys.exit(1 if wrong or len(seconds) < 40 else 0)


main()
