"""Reads Qt's binary resource files (.rcc), in which GCompris keeps its pictures."""

import struct
import zlib

COMPRESSED, DIRECTORY, ZSTD = 1, 2, 4


def read(path):
    """Returns the file's entries as {path: bytes}."""
    data = path.read_bytes()
    magic, version, tree, blobs, names = struct.unpack_from(">4s4I", data)
    if magic != b"qres" or version < 2:
        raise ValueError(f"{path} is not a resource file of version 2 or later")
    entries = {}
    # A node is: name offset u32, flags u16, then a directory's child count u32 and first
    # child u32, or a file's locale u32 and data offset u32, then its time u64.
    pending = [(0, "")]
    while pending:
        index, prefix = pending.pop()
        name, flags, first, second = struct.unpack_from(">IHII", data, tree + 22 * index)
        if index:
            (length,) = struct.unpack_from(">H", data, names + name)
            start = names + name + 6
            prefix += "/" + data[start : start + 2 * length].decode("utf-16-be")
        if flags & DIRECTORY:
            pending += [(child, prefix) for child in range(second, second + first)]
            continue
        (size,) = struct.unpack_from(">I", data, blobs + second)
        blob = data[blobs + second + 4 : blobs + second + 4 + size]
        if flags & ZSTD:
            raise ValueError(f"{prefix} in {path} is compressed with zstd")
        entries[prefix] = zlib.decompress(blob[4:]) if flags & COMPRESSED else blob
    return entries
