"""Checks the bytes of random events. Each line holds what an event is made of, and its bytes. This program makes the
event's JSON from the parts by its own means, and a canonicalizer that is not ours makes its bytes."""

import hashlib
import importlib.metadata
import ipaddress
import json
import sys

import rfc8785

MAX_DETAIL_BYTES = 16_384


def without_duplicates(pairs):
    members = dict(pairs)
    assert len(members) == len(pairs), pairs
    return members


def cut_detail(detail):
    whole = rfc8785.dumps(detail)
    if len(whole) <= MAX_DETAIL_BYTES:
        return detail
    return {"bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}


def request_id(request):
    if "ours" in request:
        return request["ours"]
    return "sha256:" + hashlib.sha256(request["client"].encode()).digest()[:16].hex()


def source(address, precision):
    address = ipaddress.ip_address(address)
    address = getattr(address, "ipv4_mapped", None) or address
    if precision == "full":
        return str(address)
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def expected(line):
    event = dict(line["event"])
    if line["detail"] is not None:
        event["detail"] = cut_detail(line["detail"])
    if line["request"] is not None:
        event["requestId"] = request_id(line["request"])
    if line["address"] is not None and line["precision"] != "none":
        event["source"] = source(line["address"], line["precision"])
    present = {name: value for name, value in event.items() if value is not None}
    return rfc8785.dumps(present)


count, cut, characters = 0, 0, set()
with open(sys.argv[1], encoding="utf-8") as lines:
    for text in lines:
        line = json.loads(text, object_pairs_hook=without_duplicates)
        ours = line["bytes"].encode()
        assert expected(line) == ours, f"line {count + 1}:\n{expected(line)}\n{ours}"
        assert rfc8785.dumps(json.loads(ours, object_pairs_hook=without_duplicates)) == ours
        count += 1
        cut += b'"detail":{"bytes":' in ours
        characters.update(json.dumps(line["event"], ensure_ascii=False))
        characters.update(line["event"]["reason"] or "")

assert count == 10_000, count
assert cut > 50, cut
controls = [chr(code) for code in range(0x20)] + ["\x7f", "\x80", "\ufb33", "\U0001f600"]
assert not set(controls) - characters, set(controls) - characters
version = importlib.metadata.version("rfc8785")
print(f"{version}: 10,000 random events: it writes the same bytes (RFC 8785), with each detail, source and request id made by its own means")
