"""Calls every method of server.py through a proxy, and says what is not as it should be.

client.py ADDRESS HOST ROOTS: by TLS to ADDRESS, for HOST, whose certificate ROOTS vouch for.
"""
import sys
import threading
import time

import grpc

address, host, roots = sys.argv[1:4]
options = [
    ("grpc.ssl_target_name_override", host),
    ("grpc.default_authority", host),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]
credentials = grpc.ssl_channel_credentials(open(roots, "rb").read())
channel = grpc.secure_channel(address, credentials, options)
unary = channel.unary_unary("/test.Echo/Unary")
downloads = channel.unary_stream("/test.Echo/Downloads")
uploads = channel.stream_unary("/test.Echo/Uploads")
both = channel.stream_stream("/test.Echo/Both")


def code_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details()
    return None, None


def check(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r}, not {wanted!r}")


# unary, metadata both ways, binary trailers
answer, call = unary.with_call(b"abc", metadata=[("x-sent", "1")], timeout=10)
check("unary", answer, b"cba")
check("initial metadata", dict(call.initial_metadata()).get("x-seen"), "1")
trailing = dict(call.trailing_metadata())
check("trailing metadata", (trailing.get("x-count"), trailing.get("x-bytes-bin")), ("3", b"\x00\xff"))
large = bytes(range(256)) * 20_000
check("a large message", unary(large, timeout=30), large[::-1])
check("an empty message", unary(b"", timeout=10), b"")

# errors: with details, in trailers alone, unknown methods
code, details = code_of(lambda: unary(b"fail", timeout=10))
check("an error", (code, details), (grpc.StatusCode.FAILED_PRECONDITION, "not now: äöü"))
missing = channel.unary_unary("/test.Echo/Missing")
check("an unknown method", code_of(lambda: missing(b"", timeout=10))[0], grpc.StatusCode.UNIMPLEMENTED)

# streams
check("downloads", [int(one) for one in downloads(b"2000", timeout=30)], list(range(2000)))
check("uploads", uploads((b"x" * 1000 for _ in range(2000)), timeout=30), b"2000000")


# both ways at once: each answer comes before the next question is asked
turns = threading.Semaphore(1)


def questions():
    for number in range(50):
        turns.acquire(timeout=10)
        yield b"q%d" % number


answers = []
for answer in both(questions(), timeout=30):
    answers.append(answer)
    turns.release()
check("in turns", answers, [b"Q%d" % number for number in range(50)])

# deadlines and cancelled calls
begun = time.monotonic()
check("a deadline", code_of(lambda: unary(b"slow", timeout=0.5))[0], grpc.StatusCode.DEADLINE_EXCEEDED)
if time.monotonic() - begun > 2:
    sys.exit("the deadline came late")
call = downloads(b"1000000")
next(call)
call.cancel()

# many at once
results = [None] * 40
def one(number):
    results[number] = [unary(b"%d-%d" % (number, i), timeout=20) for i in range(10)]
threads = [threading.Thread(target=one, args=(number,)) for number in range(40)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
check("many at once", results, [[(b"%d-%d" % (n, i))[::-1] for i in range(10)] for n in range(40)])
print("all as it should be")
