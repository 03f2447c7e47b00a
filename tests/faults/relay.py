"""A TCP relay between a site and the server: cuts the line, slows it down, counts and keeps what
passes.
"""

import contextlib
import socket
import threading
import time
from pathlib import Path

CHUNK = 1 << 14


class Relay:
    """Listens on a port of loopback and passes everything on.

    Args:
      target: port of the server.
      bits_per_second: in each direction; 0 for no limit.
      delay_s: in each direction.
      record: file for all bytes, both directions.
      host: to listen on.
      target_host: of the server.
    """

    def __init__(
        self,
        target: int,
        *,
        bits_per_second: float = 0,
        delay_s: float = 0,
        record: Path | None = None,
        host: str = "127.0.0.1",
        target_host: str = "127.0.0.1",
        port: int = 0,
    ):
        self.target, self.rate, self.delay_s, self.record = (
            (target_host, target),
            bits_per_second / 8,
            delay_s,
            record,
        )
        self.bytes = {"up": 0, "down": 0}
        self.open, self.pairs, self.lock = threading.Event(), [], threading.Lock()
        self.open.set()
        self.free = {"up": 0.0, "down": 0.0}  # when the line of a direction is free again
        self.listener = socket.create_server((host, port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, abruptly: bool) -> None:
        """Nothing passes from now on. Abruptly: connections are closed, otherwise packets just
        vanish.
        """
        self.open.clear()
        if abruptly:
            with self.lock:
                for pair in self.pairs:
                    for s in pair:
                        with contextlib.suppress(OSError):
                            s.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Everything passes again."""
        self.open.set()

    def _accept(self) -> None:
        while True:
            near, _ = self.listener.accept()
            if not self.open.is_set():
                near.close()
                continue
            try:
                far = socket.create_connection(self.target)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.pairs.append((near, far))
            for a, b, way in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self._pass, args=(a, b, way), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        line: list[tuple[float, bytes]] = []  # (when it may leave, data)
        arrived, over = threading.Condition(), []
        threading.Thread(target=self._send, args=(sink, line, arrived, over), daemon=True).start()
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self.open.wait()
                with self.lock:
                    self.bytes[way] += len(data)
                    if self.record is not None:
                        with self.record.open("ab") as file:
                            file.write(data)
                    now = time.monotonic()
                    self.free[way] = max(self.free[way], now) + (
                        len(data) / self.rate if self.rate else 0
                    )
                    leave = self.free[way] + self.delay_s
                with arrived:
                    line.append((leave, data))
                    arrived.notify()
                time.sleep(
                    max(0.0, leave - self.delay_s - time.monotonic() - 0.2)
                )  # a buffer of 0.2 s, then wait
        with arrived:
            over.append(True)
            arrived.notify()

    def _send(
        self, sink: socket.socket, line: list, arrived: threading.Condition, over: list
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                with arrived:
                    arrived.wait_for(lambda: line or over)
                    if not line:
                        break
                    leave, data = line.pop(0)
                time.sleep(max(0.0, leave - time.monotonic()))
                self.open.wait()
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
