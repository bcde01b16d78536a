"""A first program of a user, in an environment with lacre. It prints the path of the package."""

import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import lacre
import lacre.requests_cache as requests_cache
from lacre import CachedSession


class Origin(BaseHTTPRequestHandler):
    """Answers with a text."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"text")

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever).start()
try:
    with CachedSession("cache", expire_after=60) as session:
        answers = [session.get(f"http://127.0.0.1:{server.server_port}/page") for _ in range(2)]
finally:
    server.shutdown()
    server.server_close()
assert [(answer.from_cache, answer.text) for answer in answers] == [(False, "text"), (True, "text")]
connection = sqlite3.connect("cache.sqlite")
((value,),) = connection.execute("SELECT value FROM responses").fetchall()
connection.close()
assert b"\x89LAC" in value
assert lacre.__version__ == version("lacre")
assert requests_cache.CachedSession is CachedSession
print(lacre.__file__)
