#!/usr/bin/env python3
"""A gRPC client of Roost without generated code: all it knows of the API comes from the server's reflection.

    grpc_client.py ADDRESS services
    grpc_client.py ADDRESS call SERVICE/METHOD [JSON | -]
    grpc_client.py ADDRESS devices PARENT
    grpc_client.py ADDRESS send DEVICE TO TEXT [--request-id UUID] [--wait ACCEPTED|SERVER_ACK|DELIVERED]
    grpc_client.py ADDRESS events PARENT [--cursor CURSOR] [--limit N] [--follow]

ADDRESS is host:port, without TLS. Every answer is one JSON object a line, in the proto3 JSON form, so that a
stream can be followed and piped. SERVICE may be short (`EventService`). TO is digits of a phone number, or
`…@lid`. The exit code is 0, or 1 with {"code", "message", "details"} of the gRPC status on the last line.
"""

import argparse
import json
import sys
import uuid

import grpc
from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_database import DescriptorDatabase
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as reflection

# Seconds for a call that does not stream, and for each reflection request.
TIMEOUT = 30


class Reflected(DescriptorDatabase):
    """Descriptors, asked from the server when the pool needs them.

    The two versions of the reflection service share their messages' bytes; a server may offer either.
    """

    def __init__(self, channel):
        super().__init__()
        self.channel = channel
        self.version = None

    def services(self):
        answer = self.ask(reflection.ServerReflectionRequest(list_services=""))
        return [service.name for service in answer.list_services_response.service]

    def FindFileByName(self, name):
        try:
            return super().FindFileByName(name)
        except KeyError:
            self.learn(reflection.ServerReflectionRequest(file_by_filename=name), name)
            return super().FindFileByName(name)

    def FindFileContainingSymbol(self, symbol):
        try:
            return super().FindFileContainingSymbol(symbol)
        except KeyError:
            self.learn(reflection.ServerReflectionRequest(file_containing_symbol=symbol), symbol)
            return super().FindFileContainingSymbol(symbol)

    def learn(self, request, what):
        answer = self.ask(request)
        if answer.HasField("error_response"):
            raise KeyError(f"{what}: {answer.error_response.error_message}")
        for file in answer.file_descriptor_response.file_descriptor_proto:
            self.Add(FileDescriptorProto.FromString(file))

    def ask(self, request):
        versions = [self.version] if self.version else ["v1", "v1alpha"]
        for version in versions:
            call = self.channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection.ServerReflectionResponse.FromString,
            )
            try:
                answer = next(call(iter([request]), timeout=TIMEOUT))
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.UNIMPLEMENTED and version != versions[-1]:
                    continue
                raise
            self.version = version
            return answer


class Client:
    """Calls any method of the server by name, with dictionaries in and out."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.reflected = Reflected(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.reflected)

    def services(self):
        """Service name -> method names."""
        names = self.reflected.services()
        return {name: [m.name for m in self.pool.FindServiceByName(name).methods] for name in names}

    def method(self, path):
        service, _, name = path.partition("/")
        if "." not in service:
            found = [full for full in self.reflected.services() if full.rpartition(".")[2] == service]
            if len(found) != 1:
                raise SystemExit(f"{service}: {len(found)} services have this name")
            service = found[0]
        method = self.pool.FindServiceByName(service).methods_by_name.get(name)
        if method is None:
            raise SystemExit(f"{service} has no method {name}")
        return method

    def call(self, path, requests, timeout=None):
        """Yields the answers. `requests`: one dictionary, or an iterable of them for a client stream."""
        method = self.method(path)
        request_type = message_factory.GetMessageClass(method.input_type)
        answer_type = message_factory.GetMessageClass(method.output_type)
        arity = ("stream" if method.client_streaming else "unary") + (
            "_stream" if method.server_streaming else "_unary"
        )
        call = getattr(self.channel, arity)(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=request_type.SerializeToString,
            response_deserializer=answer_type.FromString,
        )

        def parse(request):
            return json_format.ParseDict(request, request_type(), descriptor_pool=self.pool)

        if method.client_streaming:
            argument = (parse(request) for request in requests)
        else:
            argument = parse(requests)
            if not method.server_streaming and timeout is None:
                timeout = TIMEOUT
        answer = call(argument, timeout=timeout)
        for one in answer if method.server_streaming else [answer]:
            yield json_format.MessageToDict(
                one, preserving_proto_field_name=True, descriptor_pool=self.pool
            )


def status_details(client, error):
    """The standard error details of a status (google.rpc.*), as far as the server can describe them."""
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        # google.rpc.Status: field 3, repeated Any. Read without its schema, which the server need not know.
        details = []
        for packed in length_delimited_fields(value, 3):
            one = any_pb2.Any.FromString(packed)
            try:
                details.append(json_format.MessageToDict(one, descriptor_pool=client.pool))
            except Exception:  # A type that reflection does not describe is still named.
                details.append({"@type": one.type_url})
        return details
    return []


def length_delimited_fields(data, wanted):
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            varint()
        elif tag & 7 == 2:
            length = varint()
            if tag >> 3 == wanted:
                yield data[at : at + length]
            at += length
        else:
            return


def requests_of(client, path, text):
    if text == "-":
        lines = (json.loads(line) for line in sys.stdin if line.strip())
        return lines if client.method(path).client_streaming else next(lines)
    request = json.loads(text)
    return [request] if client.method(path).client_streaming else request


def answers(client, args):
    if args.command == "services":
        yield from ({"service": name, "methods": methods} for name, methods in client.services().items())
    elif args.command == "call":
        yield from client.call(args.method, requests_of(client, args.method, args.request))
    elif args.command == "devices":
        token = ""
        while True:
            request = {"parent": args.parent, "page_size": 1000, "page_token": token}
            (page,) = client.call("DeviceService/ListDevices", request)
            yield from page.get("devices", [])
            token = page.get("next_page_token", "")
            if not token:
                return
    elif args.command == "send":
        lid = args.to.endswith("@lid")
        request = {
            "parent": args.device,
            "to": {"lid": args.to} if lid else {"phone_number": args.to},
            "text": args.text,
            "request_id": args.request_id or str(uuid.uuid4()),
            "wait_for": args.wait,
        }
        yield from client.call("MessageService/SendMessage", request)
    elif args.command == "events":
        request = {
            "parent": args.parent,
            "cursor": args.cursor,
            "limit": args.limit,
            "follow": args.follow,
        }
        for page in client.call("EventService/ReadEvents", request):
            yield from page.get("events", [])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("address")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("services")
    call = commands.add_parser("call")
    call.add_argument("method")
    call.add_argument("request", nargs="?", default="{}")
    devices = commands.add_parser("devices")
    devices.add_argument("parent")
    send = commands.add_parser("send")
    send.add_argument("device")
    send.add_argument("to")
    send.add_argument("text")
    send.add_argument("--request-id")
    send.add_argument("--wait", default="SERVER_ACK")
    events = commands.add_parser("events")
    events.add_argument("parent")
    events.add_argument("--cursor", default="")
    events.add_argument("--limit", type=int, default=0)
    events.add_argument("--follow", action="store_true")
    return parser.parse_args()


def main():
    args = arguments()
    client = Client(args.address)
    try:
        for answer in answers(client, args):
            print(json.dumps(answer, ensure_ascii=False), flush=True)
    except grpc.RpcError as error:
        details = status_details(client, error)
        print(json.dumps({"code": error.code().name, "message": error.details(), "details": details}))
        sys.exit(1)


if __name__ == "__main__":
    main()
