"""A graph of Substrate, recorded while its nodes answer. Needs no key and no network:

    pip install 'chatstore[substrate]' && python examples/record_substrate.py

A server on this machine stands for Substrate's, and says what is written below.
"""

from __future__ import annotations

import json
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a pydantic that Substrate was written before
    from substrate import ComputeText, MultiComputeText, Substrate

from chatstore import Block, ChatStore
from chatstore.recorders.substrate import record

PROMPT = "Tell me about windmills"


def choice(index: int, text: str) -> dict[str, Any]:
    """A piece of one of several texts."""
    return {"choices": {"object": "array.item", "index": index, "item": {"text": text}}}


def answers(story: str, many: str) -> list[dict[str, Any]]:
    """What the server says of two nodes: one with a text, one with two at once."""
    results = {story: {"text": "Windmills turn."}, many: {"choices": [{"text": "They mill."}, {"text": "They pump."}]}}
    said = [
        (story, {"text": "Windmills "}),
        (many, choice(0, "They ")),
        (many, choice(1, "They ")),
        (story, {"text": "turn."}),
    ]
    return [
        *({"object": "node.delta", "node_id": name, "data": data} for name, data in said),
        *({"object": "node.result", "node_id": name, "data": data} for name, data in results.items()),
        {"object": "graph.result", "data": results},
    ]


@contextmanager
def scripted(messages: list[dict[str, Any]]) -> Iterator[str]:
    """The address of a server that answers with these."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for message in messages:
                self.wfile.write(f"event: message\ndata: {json.dumps(message)}\n\n".encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def show(block: Block) -> None:
    """One block in a line."""
    text = block.text or json.dumps(block.data)
    print(f"{block.index:3} {block.type:8} {block.author or '':8} {text if len(text) < 70 else text[:67] + '...'}")


def main(path: str = "chat.db") -> None:
    """Asks for two nodes, and prints what is stored of them."""
    story, many = ComputeText(prompt=PROMPT), MultiComputeText(prompt=PROMPT, num_choices=2)
    story.id, many.id = "story", "many"
    with ChatStore(path) as store, scripted(answers(story.id, many.id)) as url:
        history = store.history("windmills")
        substrate = Substrate(api_key="none", base_url=url)
        recording = record(substrate.stream(story, many), history, prompt=PROMPT)
        for _ in recording:
            pass  # the events of Substrate, as if nobody recorded them
        for block in history.get_messages(run=recording.run_id):
            show(block)
        print("the person sees:", [block.text for block in history.get_messages(kind="transcript")])
        print("the run is", history.get_run(recording.run_id).state)


if __name__ == "__main__":
    main(*sys.argv[1:])
