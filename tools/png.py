"""Read and write 8-bit PNG files with zlib and numpy alone."""
import struct
import zlib

import numpy as np

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type: grey, RGB, grey and alpha, RGBA


def unfilter(kind, line, before, step):
    """Undo the filter of one row; `before` is the row above, `step` the bytes of a pixel."""
    if kind == 0:
        return line
    if kind == 2:
        return (line.astype(np.int32) + before).astype(np.uint8)
    row, above = line.tolist(), before.tolist()
    for x, value in enumerate(row):
        a, c = (row[x - step], above[x - step]) if x >= step else (0, 0)
        b = above[x]
        if kind == 4:
            p = a + b - c
            pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
            guess = a if pa <= pb and pa <= pc else b if pb <= pc else c
        else:
            guess = a if kind == 1 else (a + b) // 2
        row[x] = (value + guess) & 255
    return np.array(row, np.uint8)


def read(path):
    """u8 [height, width, channels]; ValueError for what is no plain 8-bit PNG."""
    with open(path, "rb") as f:
        data = f.read()
    at, idat, shape = 8, b"", None
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            if depth != 8 or interlace or colour not in CHANNELS:
                raise ValueError(f"{path} is no plain 8-bit PNG")
            shape = height, width, CHANNELS[colour]
        elif kind == b"IDAT":
            idat += body
        at += size + 12
    raw = np.frombuffer(zlib.decompress(idat), np.uint8).reshape(shape[0], -1)
    out = np.zeros((shape[0], raw.shape[1] - 1), np.uint8)
    before = np.zeros(raw.shape[1] - 1, np.uint8)
    for y in range(shape[0]):
        before = out[y] = unfilter(raw[y, 0], raw[y, 1:], before, shape[2])
    return out.reshape(shape)


def write_grey(path, image):
    """u8 [height, width] as a grey PNG."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(
            ">I", zlib.crc32(kind + body))
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = image
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n")
        f.write(chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)))
        f.write(chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b""))
