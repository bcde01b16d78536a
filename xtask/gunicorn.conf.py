"""Settings of gunicorn for httpbin.

It listens on a free loopback port, prints its URL, and ends with its stdin.
"""

import os
import signal
import threading

bind = "127.0.0.1:0"
worker_class = "gthread"
threads = 16
loglevel = "warning"


def when_ready(server):
    host, port = server.LISTENERS[0].sock.getsockname()
    threading.Thread(target=stop_when_abandoned, daemon=True).start()
    print(f"http://{host}:{port}", flush=True)


def stop_when_abandoned():
    """Stop when the pipe closes, which happens however its owner ends."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
