"""Makes the files in images/ and cases.json beside them: pictures in every format that derm-data decodes, and what Pillow
makes of them; what Pillow, torchvision and timm make of a picture when they resize it; what torchvision's RandAugment does.

Run in this folder: python images.py. Needs numpy, Pillow, torchvision, timm. Everything is drawn here; no photograph.
"""

import io
import json
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps
from torchvision.transforms import InterpolationMode, autoaugment
from timm.data import create_transform

OUT = Path(__file__).parent / "images"
OUT.mkdir(exist_ok=True)
for old in OUT.iterdir():
    old.unlink()


def photo(width, height, seed):
    """A lesion on skin: gradients, a border, texture, noise, hair."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    u, v = x / width, y / height
    skin = np.stack([205 + 25 * u, 150 + 30 * v, 125 + 20 * u * v], -1)
    angle = np.arctan2(v - 0.5, u - 0.5)
    radius = np.hypot(u - 0.5, v - 0.5) / (0.27 + 0.03 * np.sin(5 * angle))
    inside = 1 / (1 + np.exp((radius - 1) * 18))
    mole = np.stack([95 + 30 * np.sin(17 * u), 60 + 20 * np.cos(23 * v), 50 + 15 * np.sin(31 * (u + v))], -1)
    picture = skin * (1 - inside[..., None]) + mole * inside[..., None]
    for _ in range(4):
        a, b, c = rng.uniform(-1, 1, 3)
        distance = np.abs(a * (u - 0.5) + b * (v - 0.5) + 0.2 * c) / math.hypot(a, b)
        picture *= (1 - 0.7 * np.exp(-((distance * width / 0.9) ** 2)))[..., None]
    picture += rng.normal(0, 4, picture.shape)
    return Image.fromarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))


CASES = []


def decoded(name, data, expected, mean, most, note=""):
    """A file that decodes to `expected` within a mean and a largest difference."""
    (OUT / name).write_bytes(data)
    expected.convert("RGB").save(OUT / f"{name}.expected.png", optimize=True)
    CASES.append({"file": name, "mean": mean, "most": most, "note": note})


def refused(name, data, reason):
    (OUT / name).write_bytes(data)
    CASES.append({"file": name, "refused": reason})


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def png(width, height, depth, colour, rows, extra=b""):
    """A PNG of any depth: rows are bytes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + extra + body + chunk(b"IEND", b"")


def profile(space, primaries=None, gamma=None, grey_gamma=None):
    """A version 2 ICC profile of a display: matrix and one power curve, or grey."""

    def text(words):
        return b"desc\0\0\0\0" + struct.pack(">I", len(words) + 1) + words + b"\0" + b"\0" * 78

    def curve(power):
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(power * 256)) + b"\0\0"

    def xyz(values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    tags = {b"desc": text(b"made"), b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": xyz((0.9642, 1.0, 0.8249))}
    if grey_gamma:
        tags[b"kTRC"] = curve(grey_gamma)
    else:
        for tag, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries):
            tags[tag] = xyz(value)
        for tag in (b"rTRC", b"gTRC", b"bTRC"):
            tags[tag] = curve(gamma)
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        value += b"\0" * (-len(value) % 4)
        table += tag + struct.pack(">II", at + len(body), len(value))
        body += value
    head = struct.pack(">I", at + len(body)) + b"none" + struct.pack(">I", 0x02400000) + b"mntr" + space + b"XYZ "
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    head += struct.pack(">3i", 63190, 65536, 54061) + b"\0" * 48
    head = head[:128].ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


# Colorants under D50 (Bradford), as the profiles of Apple and Adobe have them.
P3 = profile(b"RGB ", [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)], 2.2)
ADOBE = profile(b"RGB ", [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)], 2.2)
GREY = profile(b"GRAY", grey_gamma=1.5)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def to_srgb(image, icc, mode="RGB"):
    return ImageCms.profileToProfile(image, io.BytesIO(icc), SRGB, renderingIntent=0, outputMode=mode)


def formats():
    image = photo(44, 33, 1)
    grey = image.convert("L")
    # Decoders differ by a level or two a coefficient, and in how they bring colours back to full size.
    for name, options, mean, most in [
        ("jpeg_444.jpg", {"quality": 90, "subsampling": 0}, 0.5, 4),
        ("jpeg_420.jpg", {"quality": 90, "subsampling": 2}, 0.6, 12),
        ("jpeg_422.jpg", {"quality": 90, "subsampling": 1}, 0.6, 12),
        ("jpeg_progressive.jpg", {"quality": 90, "progressive": True}, 0.6, 12),
    ]:
        data = saved(image, "JPEG", **options)
        decoded(name, data, opened(data), mean, most)
    data = saved(grey, "JPEG", quality=90)
    decoded("jpeg_grey.jpg", data, opened(data), 0.5, 3)
    data = saved(image.convert("CMYK"), "JPEG", quality=95)
    decoded("jpeg_cmyk.jpg", data, opened(data), 1.0, 12, "Adobe's inverted CMYK")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = saved(image, "JPEG", quality=90, subsampling=0, exif=exif.tobytes())
        decoded(f"jpeg_orientation_{orientation}.jpg", data, ImageOps.exif_transpose(opened(data)), 0.5, 4)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(image, "PNG", exif=exif.tobytes())
    decoded("png_orientation_6.png", data, ImageOps.exif_transpose(opened(data)), 0, 0)
    data = saved(image, "WEBP", lossless=True, exif=exif.tobytes())
    decoded("webp_orientation_6.webp", data, ImageOps.exif_transpose(opened(data)), 0, 0)
    data = saved(image, "TIFF", tiffinfo={274: 6})
    # Pillow turns TIFF files itself when it loads them.
    expected = opened(data)
    expected.load()
    decoded("tiff_orientation_6.tif", data, image.transpose(Image.Transpose.ROTATE_270), 0, 0)

    alpha = image.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(image.size))
    palette = image.quantize(23)
    for name, picture, options in [
        ("png_rgb.png", image, {}),
        ("png_rgba.png", alpha, {}),
        ("png_grey.png", grey, {}),
        ("png_grey_alpha.png", alpha.convert("LA"), {}),
        ("png_palette.png", palette, {}),
        ("png_palette_alpha.png", palette, {"transparency": 5}),
        ("png_one_bit.png", image.convert("1"), {}),
        ("png_1x1.png", image.crop((0, 0, 1, 1)), {}),
    ]:
        data = saved(picture, "PNG", **options)
        decoded(name, data, opened(data), 0, 0)
    levels = np.asarray(image, np.uint16) * 257 + np.random.default_rng(2).integers(-120, 120, (33, 44, 3)).astype(np.int32)
    levels = np.clip(levels, 0, 65535)
    rounded = Image.fromarray(np.clip((levels + 128) // 257, 0, 255).astype(np.uint8))
    data = png(44, 33, 16, 2, [row.astype(">u2").tobytes() for row in levels])
    decoded("png_16.png", data, rounded, 0, 0, "rounded")
    decoded("png_16_pillow.png", data, opened(data), 0.51, 1, "Pillow cuts off")
    data = png(44, 33, 16, 0, [row[:, 1].astype(">u2").tobytes() for row in levels])
    green = rounded.getchannel("G")
    decoded("png_16_grey.png", data, green, 0, 0, "rounded")

    data = saved(image, "WEBP", lossless=True)
    decoded("webp_lossless.webp", data, opened(data), 0, 0)
    data = saved(image, "WEBP", quality=85)
    decoded("webp_lossy.webp", data, opened(data), 0.6, 12)
    data = saved(alpha, "WEBP", lossless=True, exact=True)
    decoded("webp_alpha.webp", data, opened(data), 0, 0)
    for name, picture in [("bmp_rgb.bmp", image), ("bmp_grey.bmp", grey), ("bmp_palette.bmp", palette),
                          ("bmp_one_bit.bmp", image.convert("1"))]:
        data = saved(picture, "BMP")
        decoded(name, data, opened(data), 0, 0)
    for name, picture, options in [
        ("tiff_rgb.tif", image, {}),
        ("tiff_lzw.tif", image, {"compression": "tiff_lzw"}),
        ("tiff_deflate.tif", image, {"compression": "tiff_adobe_deflate"}),
        ("tiff_grey.tif", grey, {}),
        ("tiff_rgba.tif", alpha, {}),
    ]:
        data = saved(picture, "TIFF", **options)
        decoded(name, data, opened(data), 0, 0)
    data = saved(Image.fromarray(levels[..., 1].astype(np.uint16)), "TIFF")
    decoded("tiff_16_grey.tif", data, green, 0, 0, "rounded")

    # Colours of all sorts: what a profile does is largest far from grey.
    strong = Image.merge("RGB", [Image.linear_gradient("L").resize((32, 32)).rotate(90 * turn) for turn in range(3)])
    strong = Image.blend(strong, image.resize((32, 32)), 0.3)
    for name, icc in [("icc_p3", P3), ("icc_adobe", ADOBE)]:
        # Tables and integers on both sides: a level or two, more where a channel is cut off at 0.
        decoded(f"{name}.png", saved(strong, "PNG", icc_profile=icc), to_srgb(strong, icc), 0.6, 4)
        data = saved(strong, "JPEG", quality=95, subsampling=0, icc_profile=icc)
        decoded(f"{name}.jpg", data, to_srgb(opened(data), icc), 1.0, 10)
        data = saved(strong, "WEBP", lossless=True, icc_profile=icc)
        decoded(f"{name}.webp", data, to_srgb(strong, icc), 0.6, 4)
        data = saved(strong, "TIFF", icc_profile=icc)
        decoded(f"{name}.tif", data, to_srgb(strong, icc), 0.6, 4)
    flat = strong.convert("L")
    decoded("icc_grey.png", saved(flat, "PNG", icc_profile=GREY), to_srgb(flat, GREY), 0.6, 2)
    srgb = SRGB.tobytes()
    decoded("icc_srgb.png", saved(strong, "PNG", icc_profile=srgb), strong, 0, 0, "sRGB changes nothing")
    decoded("icc_broken.png", saved(strong, "PNG", icc_profile=b"not a profile" * 20), strong, 0, 0, "ignored")
    decoded("icc_cut.png", saved(strong, "PNG", icc_profile=P3[:200]), strong, 0, 0, "ignored")
    decoded("icc_mismatch.png", saved(flat, "PNG", icc_profile=P3), flat, 0, 0, "a colour profile on grey is ignored")

    other = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    animated = "it is animated: expected one picture"
    refused("animated.webp", saved(image, "WEBP", save_all=True, append_images=[other], duration=100), animated)
    refused("animated.png", saved(image, "PNG", save_all=True, append_images=[other], duration=100), animated)
    refused("pages.tif", saved(image, "TIFF", save_all=True, append_images=[other]), "it has several pages")
    refused("pages_big.tif", saved(image, "TIFF", save_all=True, append_images=[other], big_tiff=True), "it has several pages")
    thumbnail = image.resize((11, 8))
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    data = saved(image, "TIFF", save_all=True, append_images=[thumbnail])
    assert opened(data).n_frames == 2
    second = opened(data)
    second.seek(1)
    assert second.tag_v2.get(254) == 1, second.tag_v2
    decoded("tiff_thumbnail.tif", data, image, 0, 0, "a thumbnail is no second page")
    refused("picture.gif", saved(palette, "GIF"), "Gif")
    # Headers that promise 60,000 by 60,000 pixels.
    vast = 60_000
    bomb = b"bomb: expected at most"
    refused("bomb.png", png(vast, vast, 8, 2, [b"\0" * 16]), "expected at most 134217728 in all")
    jpeg = bytearray(saved(image, "JPEG", quality=90))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5:frame + 9] = struct.pack(">HH", vast, vast)
    refused("bomb.jpg", bytes(jpeg), "expected at most 134217728 in all")
    bmp = bytearray(saved(image, "BMP"))
    bmp[18:26] = struct.pack("<ii", vast, vast)
    refused("bomb.bmp", bytes(bmp), "")
    tiff = bytearray(saved(image, "TIFF"))
    for tag in (256, 257):
        at = tiff.index(struct.pack("<HH", tag, 4) if struct.pack("<HH", tag, 4) in tiff else struct.pack("<HH", tag, 3))
        tiff[at + 2:at + 12] = struct.pack("<HII", 4, 1, vast)
    refused("bomb.tif", bytes(tiff), "")


def resizing():
    cases = []
    source = photo(120, 90, 5)
    source.save(OUT / "resize_source.png", optimize=True)
    kinds = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    for interpolation, kind in kinds.items():
        for size in (24, 64, 100, 170):
            name = f"resize_{interpolation}_{size}.png"
            source.resize((size, size), kind).save(OUT / name, optimize=True)
            cases.append({"expected": name, "size": size, "interpolation": interpolation})
        for size, crop_pct in ((56, 0.875), (63, 0.9), (48, 0.95), (80, 1.0)):
            name = f"crop_{interpolation}_{size}.png"
            steps = create_transform((3, size, size), interpolation=interpolation, crop_pct=crop_pct, is_training=False)
            picture = source
            for step in steps.transforms[:2]:
                picture = step(picture)
            assert picture.size == (size, size)
            picture.save(OUT / name, optimize=True)
            cases.append({"expected": name, "size": size, "interpolation": interpolation, "crop_pct": crop_pct})
    return cases


def rand_augment():
    """Every operation in torchvision's order at three magnitudes, both signs, one below the other."""
    source = photo(40, 30, 7)
    source.save(OUT / "rand_augment_source.png", optimize=True)
    space = autoaugment.RandAugment()._augmentation_space(31, (30, 40))
    assert len(space) == 14
    parts = []
    for name, (magnitudes, signed) in space.items():
        for magnitude in (4, 9, 30):
            for sign in (1, -1):
                value = float(magnitudes[magnitude].item()) if magnitudes.ndim > 0 else 0.0
                value *= sign if signed else 1
                parts.append(np.asarray(autoaugment._apply_op(source, name, value, InterpolationMode.NEAREST, None)))
    Image.fromarray(np.concatenate(parts)).save(OUT / "rand_augment.png", optimize=True)


formats()
cases = {"decoded": CASES, "resized": resizing()}
rand_augment()
photo(224, 224, 11).save(OUT / "photo.png", optimize=True)
(OUT / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
