#!/usr/bin/env python3
"""A receiver of webhooks that behaves badly on purpose and notes everything.

POST /good/...   answers 200
POST /chaos/...  answers at random 200, 500, 429 with Retry-After, 302; hangs; resets the connection
POST /hang/...   never answers

Each request is a line of JSON in the file given: path, headers' id, event, job, timestamp, the answer it got,
and whether the signature verified by the standardwebhooks package. Prints its port.

Needs: pip install standardwebhooks
"""

import argparse
import json
import random
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            self.server.webhook.verify(body, {name.lower(): value for name, value in self.headers.items()})
            verified = True
        except Exception as error:  # noqa: BLE001: whatever the package says is the finding
            verified = repr(error)
        answer = self.choose()
        event = json.loads(body)
        self.server.note({
            "path": self.path,
            "id": self.headers["webhook-id"],
            "event": event["event"],
            "job": event["data"].get("job_id"),
            "timestamp": event["timestamp"],
            "answer": answer,
            "verified": verified,
        })
        if answer == "hang":
            time.sleep(2)
            self.close_connection = True
        elif answer == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        else:
            self.send_response(int(answer))
            if answer == "429":
                self.send_header("Retry-After", str(self.server.random.randrange(2)))
            if answer == "302":
                self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def choose(self):
        if self.path.startswith("/good"):
            return "200"
        if self.path.startswith("/hang"):
            return "hang"
        answers, weights = ["200", "500", "429", "hang", "reset", "302"], [64, 12, 4, 4, 8, 8]
        with self.server.lock:
            return self.server.random.choices(answers, weights)[0]

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def note(self, line):
        with self.lock:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()

    def handle_error(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--secret", required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    server = Server(("127.0.0.1", 0), Handler)
    server.webhook = Webhook(options.secret)
    server.random = random.Random(options.seed)
    server.lock = threading.Lock()
    server.file = open(options.file, "a", encoding="utf-8")
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
