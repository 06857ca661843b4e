"""Just enough HTTP/1.1 and WebSocket for the soak's two sides: heads, frames, masks."""
import base64
import hashlib
import struct

KEY = "c29hay1vZi1odWJnYXRlIQ=="
OPENED = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def upgrade_request(host, target, protocol="websocket"):
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", f"Upgrade: {protocol}", "Connection: Upgrade"]
    if protocol == "websocket":
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}", f"Origin: https://{host}"]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(payload, opcode=2, masked=False):
    """one whole frame; the mask is four zeros, which leaves the payload as it is"""
    size, bit = len(payload), 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, bit | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, bit | 127, size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def take_frame(buffer):
    """(opcode, payload, what follows), or None while the frame is not complete"""
    if len(buffer) < 2:
        return None
    opcode, size, at = buffer[0] & 15, buffer[1] & 127, 2
    if size == 126:
        if len(buffer) < 4:
            return None
        size, at = struct.unpack_from("!H", buffer, 2)[0], 4
    elif size == 127:
        if len(buffer) < 10:
            return None
        size, at = struct.unpack_from("!Q", buffer, 2)[0], 10
    mask = b""
    if buffer[1] & 0x80:
        mask, at = buffer[at:at + 4], at + 4
    if len(buffer) < at + size or (buffer[1] & 0x80 and len(mask) < 4):
        return None
    payload = bytes(buffer[at:at + size])
    if any(mask):
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return opcode, payload, buffer[at + size:]


def parse_head(head):
    """(first line, fields by lower-case name)"""
    first, *fields = head.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in fields if ":" in line)
    return first, {name.lower(): value.strip() for name, value in pairs}
