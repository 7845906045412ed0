"""Reads the one object Helm sends as protobuf: the Secret in which it keeps a release.

k8s.io/apimachinery/pkg/runtime/generated.proto has the envelope, k8s.io/api/core/v1/generated.proto the Secret.
"""

import base64

MAGIC = b"k8s\x00"


def secret(body):
    """The Secret, as JSON would have it."""
    if not body.startswith(MAGIC):
        raise ValueError("no Kubernetes protobuf")
    envelope = fields(body[len(MAGIC) :])
    kind = fields(envelope[1][0])
    if text(kind, 2) != "Secret":
        raise ValueError(f"protobuf of a {text(kind, 2)} is not understood")
    message = fields(envelope[2][0])
    metadata = fields(message[1][0])
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": text(metadata, 1),
            "namespace": text(metadata, 3) or "default",
            "labels": strings(metadata, 11),
            "annotations": strings(metadata, 12),
        },
        "data": {key.decode(): base64.b64encode(value).decode() for key, value in pairs(message, 2)},
        "type": text(message, 3),
    }


def fields(data):
    """Field number to the values it has, as bytes or numbers."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {key & 7} is not used by these messages")
        found.setdefault(key >> 3, []).append(value)
    return found


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def text(message, number):
    return message[number][0].decode() if number in message else ""


def pairs(message, number):
    for entry in message.get(number, []):
        entry = fields(entry)
        yield entry[1][0], entry.get(2, [b""])[0]


def strings(message, number):
    return {key.decode(): value.decode() for key, value in pairs(message, number)}
