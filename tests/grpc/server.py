"""A gRPC server: one method of each kind, errors with details, and word of cancelled calls.

server.py [CHAIN KEY]: prints its port, then `cancelled METHOD` for each call that ends before its time. Has gRPC's own health service;
a line `SERVICE STATUS` on standard input sets a status there (`- SERVING` for the server as a whole).
"""
import sys
import threading
import time
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def said(context, method):
    def ended():
        if not done.is_set():
            print("cancelled", method, flush=True)

    done = threading.Event()
    context.add_callback(ended)
    return done


def unary(request, context):
    done = said(context, "unary")
    context.set_trailing_metadata([("x-count", str(len(request))), ("x-bytes-bin", b"\x00\xff")])
    if request == b"fail":
        done.set()
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: äöü")
    if request == b"slow":
        time.sleep(3)
    context.send_initial_metadata([("x-seen", dict(context.invocation_metadata()).get("x-sent", ""))])
    done.set()
    return request[::-1]


def downloads(request, context):
    done = said(context, "downloads")
    for number in range(int(request)):
        if not context.is_active():
            return
        yield b"%d" % number
        if int(request) > 10_000:
            time.sleep(0.05)
    done.set()


def uploads(requests, context):
    done = said(context, "uploads")
    total = sum(len(request) for request in requests)
    done.set()
    return b"%d" % total


def both(requests, context):
    done = said(context, "both")
    for request in requests:
        yield request.upper()
    done.set()


class Handler(grpc.GenericRpcHandler):
    methods = {
        "/test.Echo/Unary": grpc.unary_unary_rpc_method_handler(unary),
        "/test.Echo/Downloads": grpc.unary_stream_rpc_method_handler(downloads),
        "/test.Echo/Uploads": grpc.stream_unary_rpc_method_handler(uploads),
        "/test.Echo/Both": grpc.stream_stream_rpc_method_handler(both),
    }

    def service(self, details):
        return self.methods.get(details.method)


def main():
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(32), handlers=[Handler()], options=options)
    if len(sys.argv) > 1:
        chain, key = (open(path, "rb").read() for path in sys.argv[1:3])
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    statuses = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(statuses, server)
    server.start()
    print(port, flush=True)
    for line in sys.stdin:  # until whoever started it is gone
        service, status = line.split()
        statuses.set("" if service == "-" else service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
        print("set", service, status, flush=True)


main()
