# SPDX-License-Identifier: Apache-2.0
"""Reads the pixels of a screenshot, so that a test can look at a page without an image library."""

import struct
import zlib


def pixels_of(path):
    """Width, height and the rows of an 8-bit RGB or RGBA PNG."""
    with open(path, "rb") as file:
        data = file.read()
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    if depth != 8:
        raise ValueError("%d bits a channel" % depth)
    channels = {2: 3, 6: 4}[kind]
    packed, at = b"", 8
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        if name == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += 12 + size
    raw, stride = zlib.decompress(packed), width * channels
    rows, before = [], bytearray(stride)
    for y in range(height):
        begin = y * (stride + 1)
        row = unfilter(raw[begin], bytearray(raw[begin + 1 : begin + 1 + stride]), before, channels)
        rows.append(row)
        before = row
    return width, height, channels, rows


def unfilter(kind, row, above, step):
    for i in range(len(row) if kind else 0):
        left = row[i - step] if i >= step else 0
        up = above[i]
        corner = above[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            paeth = left + up - corner
            near = enumerate((left, up, corner))
            guess = min((abs(paeth - value), order, value) for order, value in near)[2]
        row[i] = (row[i] + guess) & 255
    return row
