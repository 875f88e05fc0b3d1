"""Inputs of the trained models: what each reads in real use, and seeded random ones.

CASES lists (model, input name, make), where make(cache) gives a list of feeds: dicts by input name.
A feed of several steps carries state: its entry CARRY says which inputs are outputs of the step
before.
"""
import json
import os

import numpy as np

import png

CARRY = "carry"


def seeded(*key):
    return np.random.default_rng(list(map(ord, "".join(key))))


def resize(image, height, width):
    """Bilinear, half-pixel centres, u8 or f32 [h, w, c] -> f32 [height, width, c]."""
    def axis(n_in, n_out):
        at = np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, n_in - 1), (at - low).astype(np.float32)
    image = image.astype(np.float32)
    y0, y1, fy = axis(image.shape[0], height)
    x0, x1, fx = axis(image.shape[1], width)
    rows = image[y0] * (1 - fy)[:, None, None] + image[y1] * fy[:, None, None]
    return rows[:, x0] * (1 - fx)[:, None] + rows[:, x1] * fx[:, None]


def short_side_crop(image, short, crop):
    h, w = image.shape[:2]
    scale = short / min(h, w)
    image = resize(image, round(h * scale), round(w * scale))
    y, x = (image.shape[0] - crop) // 2, (image.shape[1] - crop) // 2
    return image[y:y + crop, x:x + crop]


def nchw(image):
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None].astype(np.float32))


def coffee(cache):
    return png.read(os.path.join(cache, "coffee.png"))[:, :, :3]


def page(cache):
    return png.read(os.path.join(cache, "page.png"))[:, :, :1]


def line(cache):
    return page(cache)[47:69]


def uniform(name, *shape, low=-1.0, high=1.0):
    def make(_):
        x = seeded(name, str(shape)).random(shape, np.float32)
        return [{name: (low + (high - low) * x).astype(np.float32)}]
    return make


# ---- one function a model ----

def magika_files(cache):
    """First and last 1024 bytes, stripped, of three kinds of file."""
    rows = []
    for path in (__file__, f"{cache}/coffee.png", f"{cache}/piper/piper.onnx"):
        with open(path, "rb") as f:
            data = f.read()
        head, tail = data[:4096].lstrip()[:1024], data[-4096:].rstrip()[-1024:]
        for part, left in ((head, True), (tail, False)):
            pad = [256] * (1024 - len(part))
            rows += list(part) + pad if left else pad + list(part)
    return [{"bytes": np.array(rows, np.int32).reshape(-1, 2048)}]


def magika_random(_):
    return [{"bytes": seeded("magika").integers(0, 257, (2, 2048), dtype=np.int32)}]


def efficientnet_photo(cache):
    return [{"image": nchw((short_side_crop(coffee(cache), 256, 224) - 127) / 128)}]


def nsfw_photo(cache):
    bgr = short_side_crop(coffee(cache), 256, 224)[:, :, ::-1]
    return [{"input:0": (bgr - np.array([104, 117, 123]))[None].astype(np.float32)}]


def imagenet_scaled(grey):
    """Grey [h, w, 1] in 0..255, normalised by the mean and deviation of ImageNet."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return [{"x": nchw((grey.repeat(3, axis=2) / 255 - mean) / deviation)}]


def ppocr_page(cache):
    return imagenet_scaled(resize(page(cache), 192, 384))


def ppocr_strokes(_):
    """Dark strokes at random places on light paper: what is all noise gives zeros everywhere."""
    rng, image = seeded("strokes"), np.full((96, 160, 1), 230.0)
    for y, x in rng.integers([8, 8], [80, 130], (40, 2)):
        image[y:y + rng.integers(2, 9), x:x + rng.integers(2, 25)] = rng.integers(0, 90)
    return imagenet_scaled(image)


def ppocr_line(height):
    def make(cache):
        image = line(cache).repeat(3, axis=2)
        width = round(image.shape[1] * height / image.shape[0])
        return [{"x": nchw(resize(image, height, width) / 127.5 - 1)}]
    return make


def ppocr_cls_line(cache):
    return [{"x": nchw(resize(line(cache)[:, :88].repeat(3, axis=2), 48, 192) / 127.5 - 1)}]


def ddddocr_line(cache):
    image = line(cache)[:, 140:200]
    return [{"input1": nchw(resize(image, 64, round(60 * 64 / 22)) / 127.5 - 1)}]


def ddddocr_photo(cache):
    image, box = coffee(cache), np.full((416, 416, 3), 114, np.float32)
    scale = 416 / max(image.shape[:2])
    small = resize(image, int(image.shape[0] * scale), int(image.shape[1] * scale))
    box[:small.shape[0], :small.shape[1]] = small[:, :, ::-1]
    return [{"images": nchw(box)}]


def minilm_sentences(_):
    """The cat sat on the mat; the dog ran (bert-base-uncased ids, padded)."""
    ids = np.array([[101, 1996, 4937, 2938, 2006, 1996, 13523, 102],
                    [101, 1996, 3899, 2743, 102, 0, 0, 0]], np.int64)
    return [{"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64),
             "token_type_ids": np.zeros_like(ids)}]


def minilm_random(_):
    ids = seeded("minilm").integers(1, 30522, (1, 48), dtype=np.int64)
    return [{"input_ids": ids, "attention_mask": np.ones_like(ids),
             "token_type_ids": np.zeros_like(ids)}]


def pitch_tones(_):
    """Two seconds of A4, then A4 and E5, as a string would decay."""
    t = np.arange(43844) / 22050
    x = 0.5 * np.sin(2 * np.pi * 440 * t) * np.exp(-t)
    x += (t > 1) * 0.4 * np.sin(2 * np.pi * 659.26 * t)
    return [{"serving_default_input_2:0": x.astype(np.float32).reshape(1, -1, 1)}]


def piper_feed(ids):
    ids = np.array([ids], np.int64)  # scales: no noise, natural speed: the same speech each time
    return [{"input": ids, "input_lengths": np.array([ids.shape[1]], np.int64),
             "scales": np.array([0, 1, 0], np.float32)}]


def piper_hello(cache):
    with open(os.path.join(cache, "piper/piper.json"), encoding="utf-8") as f:
        table = json.load(f)["phoneme_id_map"]
    ids = [i for p in "həlˈoʊ, wˈɜːld." for i in table[p] + table["_"]]
    return piper_feed(table["^"] + table["_"] + ids + table["$"])


def piper_random(_):
    return piper_feed(seeded("piper").integers(3, 130, 30).tolist())


def recording(cache):
    """32 ms frames of "go forward ten meters", each led by the last 4 ms of the one before."""
    with open(os.path.join(cache, "goforward.raw"), "rb") as f:
        audio = np.frombuffer(f.read(), "<i2").astype(np.float32) / 32768
    return frames_of(audio)


def noise(_):
    return frames_of(seeded("silero").standard_normal(512 * 12).astype(np.float32) * 0.1)


def frames_of(audio):
    frames = audio[:len(audio) // 512 * 512].reshape(-1, 512)
    before = np.vstack([np.zeros((1, 64), np.float32), frames[:-1, -64:]])
    return np.concatenate([before, frames], axis=1)


def silero_steps(source, rate):
    """One run a frame, the state of each going into the next."""
    def make(cache):
        extra = {"sr": np.array(16000, np.int64)} if rate else {}
        first = {"state": np.zeros((2, 1, 128), np.float32)}
        return [{"input": f[None], **extra, **(first if i == 0 else {CARRY: {"state": "stateN"}})}
                for i, f in enumerate(source(cache))]
    return make


def silero_blocks(source):
    """The sequence graph: frames in blocks of 16, its two states carried."""
    def make(cache):
        frames, steps = source(cache), []
        zero = np.zeros((1, 1, 128), np.float32)
        for i in range(0, len(frames), 16):
            state = {"h": zero, "c": zero} if i == 0 else {CARRY: {"h": "hn", "c": "cn"}}
            steps.append({"input": frames[i:i + 16], **state})
        return steps
    return make


# Share of the largest magnitude that counts as equal, where it is not that of the rest:
# onnxruntime rounds the activations of DynamicQuantizeLSTM to 8 bits, lamina does not.
LOOSE = {"ddddocr-old.onnx": 1e-2}

CASES = [
    ("magika/magika.onnx", "3 files", magika_files),
    ("magika/magika.onnx", "random", magika_random),
    ("efficientnet-lite0.onnx", "coffee.png", efficientnet_photo),
    ("efficientnet-lite0.onnx", "random", uniform("image", 2, 3, 224, 224)),
    ("ppocr-det.onnx", "page.png", ppocr_page),
    ("ppocr-det.onnx", "random", ppocr_strokes),
    ("ppocr-rec.onnx", "line of page.png", ppocr_line(48)),
    ("ppocr-rec.onnx", "random", uniform("x", 2, 3, 48, 160)),
    ("ppocr-cls.onnx", "line of page.png", ppocr_cls_line),
    ("ppocr-cls.onnx", "random", uniform("x", 3, 3, 48, 192)),
    ("ddddocr-common.onnx", "words of page.png", ddddocr_line),
    ("ddddocr-common.onnx", "random", uniform("input1", 1, 1, 64, 200)),
    ("ddddocr-old.onnx", "words of page.png", ddddocr_line),
    ("ddddocr-old.onnx", "random", uniform("input1", 1, 1, 64, 200)),
    ("ddddocr-det.onnx", "coffee.png", ddddocr_photo),
    ("ddddocr-det.onnx", "random", uniform("images", 1, 3, 416, 416, low=0, high=255)),
    ("minilm-int8.onnx", "2 sentences", minilm_sentences),
    ("minilm-int8.onnx", "random", minilm_random),
    ("open-nsfw.onnx", "coffee.png", nsfw_photo),
    ("open-nsfw.onnx", "random", uniform("input:0", 1, 224, 224, 3, low=-120, high=120)),
    ("basic-pitch.onnx", "two tones", pitch_tones),
    ("basic-pitch.onnx", "random", uniform("serving_default_input_2:0", 2, 43844, 1)),
    ("piper/piper.onnx", "hello, world", piper_hello),
    ("piper/piper.onnx", "random", piper_random),
]
for graph, takes_rate in (("silero", True), ("silero-op15", True), ("silero-ifless", True),
                          ("silero-openvino", False)):
    CASES += [(f"silero/{graph}.onnx", "goforward.raw", silero_steps(recording, takes_rate)),
              (f"silero/{graph}.onnx", "random", silero_steps(noise, takes_rate))]
CASES += [("silero/silero-sequence.onnx", "goforward.raw", silero_blocks(recording)),
          ("silero/silero-sequence.onnx", "random", silero_blocks(noise))]
